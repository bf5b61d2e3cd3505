/* What happened lately, the newest first, as sentences; filtered by kind and by words. */

import { byId, el, glyph, onFrame, show } from "./dom.js";
import { inWords } from "./sentences.js";
import { dayAndTime, harmless, isoTime, timeOfDay } from "./words.js";

const SHOWN = 200;

export class Events {
    constructor(cluster) {
        this.cluster = cluster;
        this.list = byId("event-list");
        byId("event-filter").addEventListener("input", () => onFrame(this.drawAll));
        byId("event-filter").addEventListener("submit", (event) => event.preventDefault());
    }

    /* `more` came since; -1: all is another. */
    draw(more) {
        if (more < 0 || more >= SHOWN) {
            this.drawAll();
        } else if (more > 0) {
            const rows = this.found(this.cluster.events.slice(-more));
            this.list.prepend(...rows);
            this.cut();
        }
    }

    drawAll = () => {
        this.list.replaceChildren(...this.found(this.cluster.events).slice(0, SHOWN));
        this.cut();
    };

    cut() {
        while (this.list.children.length > SHOWN) {
            this.list.lastElementChild.remove();
        }
        show(byId("no-events"), this.list.children.length === 0);
    }

    found(events) {
        const kind = byId("event-kind").value;
        const text = byId("event-text").value.trim().toLowerCase();
        const rows = [];
        for (const event of events) {
            const said = inWords(event);
            const trouble = kind === "trouble" && ["warn", "bad"].includes(said.level);
            if ((kind === "" || kind === said.kind || trouble) && said.text.toLowerCase().includes(text)) {
                rows.unshift(row(event, said));
            }
        }
        return rows;
    }
}

const row = (event, said) =>
    el("li", { "data-level": said.level, "data-event": said.event },
        el("time", { datetime: isoTime(event.at), title: dayAndTime(event.at) }, timeOfDay(event.at)),
        glyph(said.level),
        el("span", { class: "what" }, harmless(said.text)));
