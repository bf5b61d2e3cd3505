/* The last 15 minutes as lines: own small drawings, each with its words. */

import { byId, el, onFrame, setText, svg } from "./dom.js";
import { compact, isNumber, millis, timeOfDay } from "./words.js";

const WIDTH = 300;
const HEIGHT = 76;
const POINTS = 180;

const CHARTS = [
    ["lines_s", "Lines a second", compact],
    ["latency_ms", "Latency, reading to Redis", millis],
    ["lag_ms", "Lag, Twitch's answer to a PING", millis],
];

/* 1, 2 or 5 times a power of ten, not below. */
export function roundUp(value) {
    const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}

/* Runs of known values: [[index, value], ...] each. */
export function runs(values) {
    const found = [];
    let run = [];
    values.forEach((value, i) => {
        if (isNumber(value)) {
            run.push([i, value]);
        } else if (run.length > 0) {
            found.push(run);
            run = [];
        }
    });
    return run.length > 0 ? [...found, run] : found;
}

class Chart {
    constructor(cluster, [figure, title, words]) {
        Object.assign(this, { cluster, figure, words, title });
        this.area = svg("path", { class: "area" });
        this.trend = svg("path", { class: "trend" });
        this.cursor = svg("line", { class: "cursor", y1: 0, y2: HEIGHT, visibility: "hidden" });
        this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
            svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: 0.5, y2: 0.5 }),
            svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }),
            this.area, this.trend, this.cursor);
        this.value = el("b");
        this.top = el("span");
        this.root = el("figure", { class: "chart" },
            el("figcaption", null, el("span", null, title), this.value), this.picture,
            el("p", { class: "axis" }, el("span", null, "15 min ago"), this.top, el("span", null, "now")));
        this.pointed = null;
        this.picture.addEventListener("pointermove", (event) => {
            const box = this.picture.getBoundingClientRect();
            this.pointed = Math.round(((event.clientX - box.left) / box.width) * (POINTS - 1));
            onFrame(this.drawValue);
        });
        this.picture.addEventListener("pointerleave", () => {
            this.pointed = null;
            onFrame(this.drawValue);
        });
        this.values = [];
    }

    draw() {
        const told = this.cluster.points(this.figure).slice(-POINTS);
        this.values = [...new Array(POINTS - told.length).fill(null), ...told];
        const known = this.values.filter(isNumber);
        const top = roundUp(Math.max(...known, 1));
        const x = (i) => ((i / (POINTS - 1)) * WIDTH).toFixed(1);
        const y = (value) => (HEIGHT - 1 - (value / top) * (HEIGHT - 4)).toFixed(1);
        let line = "";
        let area = "";
        for (const run of runs(this.values)) {
            const path = run.map(([i, value]) => `${x(i)} ${y(value)}`).join("L");
            const [first] = run[0];
            const [last] = run[run.length - 1];
            line += `M${path}${run.length === 1 ? "h1" : ""}`;
            area += `M${x(first)} ${HEIGHT}L${path}L${x(last)} ${HEIGHT}z`;
        }
        this.trend.setAttribute("d", line);
        this.area.setAttribute("d", area);
        setText(this.top, known.length > 0 ? `scale 0 to ${this.words(top)}` : "nothing known yet");
        this.picture.setAttribute("aria-label", this.inWords(known));
        this.drawValue();
    }

    inWords(known) {
        if (known.length === 0) {
            return `${this.title}: nothing known of the last 15 minutes.`;
        }
        const [least, most] = [Math.min(...known), Math.max(...known)].map(this.words);
        return `${this.title}, over the last 15 minutes: now ${this.words(known[known.length - 1])}, at least ${least}, at most ${most}.`;
    }

    drawValue = () => {
        const at = this.pointed;
        const value = at === null ? this.values.findLast(isNumber) : this.values[at];
        const { at: newest, step_ms: step } = this.cluster.history;
        const when = at === null ? "" : ` at ${timeOfDay(newest - (POINTS - 1 - at) * step)}`;
        setText(this.value, (isNumber(value) ? this.words(value) : "not known") + when);
        this.cursor.setAttribute("visibility", at === null ? "hidden" : "visible");
        if (at !== null) {
            const x = (at / (POINTS - 1)) * WIDTH;
            this.cursor.setAttribute("x1", x);
            this.cursor.setAttribute("x2", x);
        }
    };
}

export class Charts {
    constructor(cluster) {
        this.charts = CHARTS.map((row) => new Chart(cluster, row));
        byId("charts").append(...this.charts.map((chart) => chart.root));
    }

    draw() {
        this.charts.forEach((chart) => chart.draw());
    }
}
