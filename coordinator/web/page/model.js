/* The cluster as this page knows it: the status document, and what has changed since it was drawn. */

const KEPT_EVENTS = 500;
const KEPT_POINTS = 180; /* 15 minutes */
const LOST_SHOWN_MS = 10 * 60 * 1000;
const LOST_MOST = 20;

const KINDS = { nodes: "node", shards: "shard", accounts: "account" };

const asList = (value) => (Array.isArray(value) ? value : []);

export class Cluster {
    constructor() {
        this.known = false; /* a document was here */
        this.is = {}; /* its members but for those below */
        this.nodes = new Map();
        this.shards = new Map();
        this.accounts = new Map();
        this.history = { step_ms: 5000, at: 0, lines_s: [], latency_ms: [], lag_ms: [] };
        this.events = []; /* oldest first */
        this.lost = new Map(); /* nodes that went without a word: name -> {row, at} */
        this.changedAt = 0; /* of this browser, when `at` was last another */
        this.changed = this.none();
    }

    none() {
        return { nodes: new Set(), shards: new Set(), accounts: new Set(), placed: false, rest: false, history: false, events: 0 };
    }

    /* What is to be drawn; the next call begins anew. */
    take() {
        const changed = this.changed;
        this.changed = this.none();
        return changed;
    }

    /* One message of the live socket. */
    apply(message) {
        if (message.type === "status") {
            this.begin(message);
        } else if (message.type === "change") {
            this.change(message);
        } else if (message.type === "event" && message.event) {
            this.event(message.event);
        }
    }

    begin(document) {
        for (const [kind, key] of Object.entries(KINDS)) {
            const rows = asList(document[kind]);
            const there = new Set(rows.map((row) => row[key]));
            this.forget(kind, [...this[kind].keys()].filter((name) => !there.has(name)), document.events);
            this.merge(kind, rows);
        }
        this.changed.events = -1; /* all of them */
        this.events = asList(document.events).slice(-KEPT_EVENTS);
        if (document.history) {
            this.history = { ...this.history, ...document.history };
        }
        this.changed.history = true;
        this.is = {};
        this.members(document);
        this.known = true;
    }

    change(message) {
        for (const kind of Object.keys(KINDS)) {
            this.forget(kind, asList(message.gone && message.gone[kind]));
            this.merge(kind, asList(message[kind]));
        }
        this.members(message);
        if (message.history) {
            this.history = { ...this.history, ...message.history };
            this.changed.history = true;
        } else if (message.point) {
            this.point(message.point, message.at);
        }
    }

    members(message) {
        const { type, nodes, shards, accounts, gone, point, history, events, ...rest } = message;
        if (rest.at !== undefined && rest.at !== this.is.at) {
            this.changedAt = performance.now();
        }
        Object.assign(this.is, rest);
        this.changed.rest = true;
    }

    merge(kind, rows) {
        for (const row of rows) {
            const name = row[KINDS[kind]];
            const before = this[kind].get(name);
            this[kind].set(name, row);
            this.changed[kind].add(name);
            if (before === undefined || (kind === "shards" && before.node !== row.node)) {
                this.changed.placed = true;
            }
            if (kind === "nodes") {
                this.lost.delete(name);
            }
        }
    }

    forget(kind, names, events = this.events) {
        for (const name of names) {
            const row = this[kind].get(name);
            if (kind === "nodes" && row !== undefined && !this.hasLeft(name, asList(events))) {
                this.lost.set(name, { row, at: performance.now() });
            }
            if (this[kind].delete(name)) {
                this.changed[kind].add(name);
                this.changed.placed = true;
            }
        }
        for (const [name, lost] of this.lost) {
            if (performance.now() - lost.at > LOST_SHOWN_MS || this.lost.size > LOST_MOST) {
                this.lost.delete(name);
                this.changed.placed = true;
            }
        }
    }

    /* Did the node say goodbye, and has not come back since? */
    hasLeft(name, events) {
        const last = events.findLast((event) => event.node === name && String(event.event).startsWith("node."));
        return last !== undefined && last.event === "node.left";
    }

    event(event) {
        this.events.push(event);
        if (this.events.length > KEPT_EVENTS) {
            this.events.shift();
        }
        if (this.changed.events >= 0) {
            this.changed.events++;
        }
        if (event.event === "node.left" && this.lost.delete(event.node)) {
            this.changed.placed = true;
        }
    }

    /* `at` is absent where the document is as old as before. */
    point(point, at) {
        for (const name of ["lines_s", "latency_ms", "lag_ms"]) {
            const values = this.history[name];
            values.push(point[name] === undefined ? null : point[name]);
            values.splice(0, values.length - KEPT_POINTS);
        }
        this.history.at = at ?? this.history.at + this.history.step_ms;
        this.changed.history = true;
    }

    /* Points of a figure, oldest first, null where it is not known; a lag of 0 was not measured yet. */
    points(figure) {
        const values = this.history[figure] || [];
        return figure === "lag_ms" ? values.map((value) => value || null) : values;
    }

    /* A setting in force, as a number; 0 where it is "none", "off" or not known. */
    limit(name) {
        return Number.parseInt((this.is.settings || {})[name], 10) || 0;
    }

    sum(kind, figure) {
        let sum = 0;
        for (const row of this[kind].values()) {
            sum += Number(row[figure]) || 0;
        }
        return sum;
    }
}
