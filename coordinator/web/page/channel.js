/* One channel: where it is, how it is, what happens next, and its chat as it arrives. */

import { get } from "./api.js";
import { colourOf, understand } from "./chat.js";
import { byId, el, facts, onFrame, setText, show } from "./dom.js";
import { inWords } from "./sentences.js";
import { channelName, dayAndTime, duration, number, plural, timeOfDay } from "./words.js";

const LINES = 200;
/* Looked at again: where it is on its way, and where it rests. */
const LOOK_MS = 2000;
const REST_MS = 20000;
const SUGGESTED = 8;
const TYPES_MS = 200;
/* Events that are shown of it, and under which names the API has the newest. */
const TOLD = { gap: "last_gap", "channel.failed": "last_failed" };

const STATES = {
    joined: "is joined",
    joining: "is being joined",
    queued: "waits for its turn to be joined",
    assigned: "has a shard, and is about to be joined",
    waiting: "waits for a shard",
    failed: "could not be joined",
    parted: "is not wanted: nobody asked for it, or it was parted",
};

export class Channel {
    /* actions(op, name) does what its buttons say; onShard(name) shows a shard. */
    constructor(cluster, live, actions, onShard) {
        Object.assign(this, { cluster, live, actions, onShard });
        this.name = "";
        this.looked = 0; /* how often */
        this.lookedAt = 0;
        this.resting = false;
        this.begin();
        this.lines = []; /* since the last frame */
        this.paused = false;
        byId("search").addEventListener("submit", (event) => {
            event.preventDefault();
            this.search(byId("search-name").value);
        });
        byId("search-name").addEventListener("input", () => {
            clearTimeout(this.typing);
            this.typing = setTimeout(() => this.suggest(), TYPES_MS);
        });
        byId("tail-pause").addEventListener("click", () => this.pause(!this.paused));
        for (const [op, words] of [["join", "Join"], ["retry", "Retry"], ["part", "Part"]]) {
            const attrs = { type: "button", "data-op": op, class: op === "part" && "danger", click: () => this.actions(op, this.name) };
            byId("found-actions").append(el("button", attrs, words));
        }
        setInterval(() => this.lookAgain(), LOOK_MS);
        const asked = /^#channel=([a-z0-9_]+)$/.exec(location.hash);
        if (asked !== null) {
            this.open(asked[1]);
        }
    }

    search(text) {
        const name = channelName(text);
        if (name === "") {
            this.close();
            show(byId("found"), true);
            setText(byId("found-name"), "No such name");
            setText(byId("found-state"), "The name of a channel has up to 25 of a-z, 0-9 and _.");
            return;
        }
        this.open(name);
    }

    /* From anywhere on the page. */
    visit(name) {
        byId("search-name").value = name;
        this.open(name);
        byId("channel").scrollIntoView();
        byId("channel").focus({ preventScroll: true });
    }

    close() {
        this.name = "";
        this.live.follow([]);
        facts(byId("found-facts"), []);
        this.offer();
        show(byId("found-chat"), false);
    }

    open(name) {
        if (name !== this.name) {
            this.name = name;
            this.resting = false;
            this.begin();
            this.lines = [];
            byId("tail").replaceChildren();
            show(byId("tail-nothing"), true);
            this.pause(false);
            show(byId("found-chat"), true);
            setText(byId("found-name"), `#${name}`);
            setText(byId("found-state"), "");
            facts(byId("found-facts"), []);
            show(byId("found"), true);
            history.replaceState(null, "", `#channel=${name}`);
            this.live.follow([name]);
        }
        this.look();
    }

    /* To find its last events all of the log is read: once, and then they are heard. */
    begin() {
        this.logRead = false;
        this.told = {};
    }

    happened(event) {
        if (Object.hasOwn(TOLD, event.event)) {
            this.told[TOLD[event.event]] = event;
        }
        this.look();
    }

    missed() {
        this.begin();
        this.look();
    }

    lookAgain() {
        const pause = this.resting ? REST_MS : LOOK_MS;
        if (!document.hidden && performance.now() - this.lookedAt >= pause - 100) {
            this.look();
        }
    }

    /* An answer that was overtaken by a later look is nothing. */
    async look() {
        const name = this.name;
        if (name === "") {
            return;
        }
        const turn = ++this.looked;
        this.lookedAt = performance.now();
        const { logRead } = this;
        const { body } = await get(`channels/${encodeURIComponent(name)}?log=${logRead ? "no" : "yes"}`);
        if (name !== this.name || turn !== this.looked) {
            return;
        }
        if (body.error) {
            setText(byId("found-state"), body.error);
            return;
        }
        if (!logRead) {
            this.logRead = true;
            this.told = { last_gap: body.last_gap, last_failed: body.last_failed, ...this.told };
        }
        this.draw({ ...body, ...this.told });
    }

    draw(channel) {
        const state = channel.wanted === false ? "parted" : channel.state || "assigned";
        const since = channel.since > 0 ? `, for ${duration(channel.at - channel.since)}` : "";
        this.resting = ["joined", "parted"].includes(state);
        setText(byId("found-state"), `#${channel.channel} ${STATES[state] || state}.`);
        facts(byId("found-facts"), [
            ["State", state === "parted" ? "" : `${state}${since}`],
            ["Why", channel.reason],
            ["Next", channel.next],
            ["Tried again", channel.next_try > 0 ? `in ${duration(channel.next_try - channel.at)}` : ""],
            ["Shard", this.shardOf(channel)],
            ["Node", withState(channel.node, channel.node_state, channel.node_error, "active")],
            ["Read as", channel.user],
            ["Stands there as", channel.moderator ? "moderator" : channel.vip ? "VIP" : ""],
            ["Room", channel.room && channel.room !== "-" ? channel.room : ""],
            ["Waiting to be said", channel.sends > 0 ? plural(channel.sends, "message") : ""],
            ["Last gap", channel.last_gap ? `${dayAndTime(channel.last_gap.at)}: ${inWords(channel.last_gap).text}` : ""],
            ["Failed last", channel.last_failed ? `${dayAndTime(channel.last_failed.at)}: ${inWords(channel.last_failed).text}` : ""],
        ]);
        this.offer(state === "parted" ? "join" : "part", state === "failed" ? "retry" : "");
    }

    shardOf(channel) {
        if (!channel.shard) {
            return channel.wanted === false ? "" : "none";
        }
        const button = el("button", { type: "button", class: "plain", click: () => this.onShard(channel.shard) }, channel.shard);
        return el("span", null, button, withState("", channel.shard_state, channel.shard_error, "ready"));
    }

    offer(...ops) {
        for (const button of byId("found-actions").children) {
            show(button, ops.includes(button.dataset.op));
        }
    }

    /* Names that begin so, while one types. */
    async suggest() {
        const typed = channelName(byId("search-name").value);
        if (typed === "") {
            return;
        }
        const { body } = await get(`channels?after=${encodeURIComponent(before(typed))}&limit=${SUGGESTED}`);
        if (channelName(byId("search-name").value) === typed && Array.isArray(body.channels)) {
            const names = body.channels.map((entry) => entry.channel).filter((name) => name.startsWith(typed));
            byId("search-names").replaceChildren(...names.map((name) => el("option", { value: name })));
        }
    }

    pause(paused) {
        this.paused = paused;
        byId("tail-pause").setAttribute("aria-pressed", String(paused));
        setText(byId("tail-pause"), paused ? "Go on" : "Pause");
    }

    /* A line, or so many that were too many to be sent. */
    hear(message) {
        if (message.channel !== this.name || this.paused) {
            return;
        }
        this.lines.push(message);
        if (this.lines.length > LINES) {
            this.lines.shift();
        }
        onFrame(this.drawLines);
    }

    drawLines = () => {
        const tail = byId("tail");
        const rows = this.lines.map(row);
        this.lines = [];
        if (rows.length === 0) {
            return;
        }
        show(byId("tail-nothing"), false);
        const atEnd = tail.scrollHeight - tail.scrollTop - tail.clientHeight < 40;
        tail.append(...rows);
        while (tail.children.length > LINES) {
            tail.firstElementChild.remove();
        }
        if (atEnd) {
            tail.scrollTop = tail.scrollHeight;
        }
    };
}

/* What comes behind all names before those that begin so: "~" is behind all that names are made of. */
function before(typed) {
    const last = typed.length - 1;
    return `${typed.slice(0, last)}${String.fromCharCode(typed.charCodeAt(last) - 1)}~`;
}

/* A name and, where it is not as it should be, how it is. */
function withState(name, state, error, well) {
    return state && state !== well ? `${name || ""} (${error ? `${state}: ${error}` : state})` : name || "";
}

function row(message) {
    const time = el("time", null, timeOfDay(Date.now()));
    if (message.type === "missed") {
        return el("li", { class: "note" }, time, el("span", null, `${number(message.lines)} lines are not shown: they came too fast.`));
    }
    const said = understand(String(message.line));
    if (said.note !== undefined) {
        return el("li", { class: "note" }, time, el("bdi", { class: "text" }, said.note));
    }
    return el("li", null, time,
        el("span", null, el("bdi", { class: `who who-${colourOf(said.who)}` }, said.who), said.action ? " " : ": ",
            el("bdi", { class: said.action ? "text action" : "text" }, said.text)));
}
