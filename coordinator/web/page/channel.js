/* One channel: where it is, how it is, what happens next, and its chat as it arrives. */

import { get } from "./api.js";
import { colourOf, understand } from "./chat.js";
import { byId, el, facts, onFrame, setText, show } from "./dom.js";
import { byName, channelName, dayAndTime, duration, number, timeOfDay } from "./words.js";

const LINES = 200;
const LOOK_MS = 2000;
const SUGGESTED = 8;

const STATES = {
    joined: "is joined",
    joining: "is being joined",
    queued: "waits for its turn to be joined",
    assigned: "has a shard, and is about to be joined",
    waiting: "waits for a shard",
    failed: "could not be joined",
};

export class Channel {
    /* actions(op, name) does what its buttons say; onShard(name) shows a shard. */
    constructor(cluster, live, actions, onShard) {
        Object.assign(this, { cluster, live, actions, onShard });
        this.name = "";
        this.looked = 0;
        this.lines = []; /* since the last frame */
        this.paused = false;
        byId("search").addEventListener("submit", (event) => {
            event.preventDefault();
            this.search(byId("search-name").value);
        });
        byId("search-name").addEventListener("input", () => this.suggest());
        byId("tail-pause").addEventListener("click", () => this.pause(!this.paused));
        for (const [op, words] of [["join", "Join"], ["retry", "Retry"], ["part", "Part"]]) {
            const attrs = { type: "button", "data-op": op, class: op === "part" && "danger", click: () => this.actions(op, this.name) };
            byId("found-actions").append(el("button", attrs, words));
        }
        setInterval(() => document.hidden || this.look(), LOOK_MS);
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
        byId("found").classList.add("is-empty");
        facts(byId("found-facts"), []);
    }

    open(name) {
        if (name !== this.name) {
            this.name = name;
            this.lines = [];
            byId("tail").replaceChildren();
            show(byId("tail-nothing"), true);
            this.pause(false);
            byId("found").classList.remove("is-empty");
            setText(byId("found-name"), `#${name}`);
            setText(byId("found-state"), "");
            facts(byId("found-facts"), []);
            show(byId("found"), true);
            history.replaceState(null, "", `#channel=${name}`);
            this.live.follow([name]);
        }
        this.look();
    }

    /* An answer that was overtaken by a later look is nothing. */
    async look() {
        const name = this.name;
        if (name === "") {
            return;
        }
        const turn = ++this.looked;
        const { status, body } = await get(`channels/${encodeURIComponent(name)}`);
        if (name !== this.name || turn !== this.looked) {
            return;
        }
        if (status === 404) {
            setText(byId("found-state"), body.error || "Nobody has asked for this channel.");
            this.offer("join");
            facts(byId("found-facts"), []);
        } else if (body.error) {
            setText(byId("found-state"), body.error);
        } else {
            this.draw(body);
        }
    }

    draw(channel) {
        const state = channel.state || "";
        const since = channel.since > 0 ? `, for ${duration(this.cluster.is.at - channel.since)}` : "";
        /* Only its words are told to a screen reader, not each second of them. */
        setText(byId("found-state"), `#${channel.channel || this.name} ${STATES[state] || state || "is not known"}.`);
        const shard = this.cluster.shards.get(channel.shard);
        const node = channel.node || (shard && shard.node);
        const standing = channel.moderator ? "moderator" : channel.vip ? "VIP" : "";
        facts(byId("found-facts"), [
            ["State", `${state}${since}`],
            ["Why", channel.reason],
            ["Next", channel.next],
            ["Tried again", channel.next_try > 0 ? dayAndTime(channel.next_try) : ""],
            ["Shard", channel.shard ? el("button", { type: "button", class: "plain", click: () => this.onShard(channel.shard) }, channel.shard) : "none"],
            ["Node", node || "none"],
            ["Read as", channel.user || (shard && shard.user)],
            ["Stands there as", standing],
            ["Room", channel.room && channel.room !== "-" ? channel.room : ""],
            ["Room's id", channel.room_id],
        ]);
        this.offer(state === "failed" ? "retry" : "", "part");
    }

    offer(...ops) {
        for (const button of byId("found-actions").children) {
            show(button, ops.includes(button.dataset.op));
        }
    }

    /* Names that begin so, while one types. */
    async suggest() {
        const typed = channelName(byId("search-name").value);
        if (typed === "" || typed === this.suggested) {
            return;
        }
        this.suggested = typed;
        const { body } = await get(`channels?after=${encodeURIComponent(before(typed))}&limit=${SUGGESTED}`);
        if (this.suggested === typed && Array.isArray(body.channels)) {
            const names = body.channels.map((entry) => (typeof entry === "string" ? entry : entry.channel));
            byId("search-names").replaceChildren(
                ...names.filter((name) => name.startsWith(typed)).sort(byName).map((name) => el("option", { value: name })),
            );
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

/* The last name before all those that begin with this: 0 is the first character of names, and _ comes before letters. */
const before = (typed) => {
    const last = typed.charCodeAt(typed.length - 1);
    return typed.slice(0, -1) + String.fromCharCode(last - 1) + "~";
};

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
