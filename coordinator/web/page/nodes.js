/* Nodes, each with its shards as bars. A shard is one row of elements as long as it lives; where it moves to another
 * node, so do they. */

import { arrange, bar, byId, el, glyph, Rows, setBar, setLevel, setText, show } from "./dom.js";
import { byName, bytes, compact, duration, isNumber, millis, number, plural } from "./words.js";

/* From so many shards on each of them takes less room. */
const DENSE_FROM = 120;
/* The name under which shards without a node are listed; no node has it. */
const HOMELESS = "";

const NODE_LEVELS = { active: "ok", proving: "warn", draining: "busy", leaving: "busy", blind: "bad", silent: "bad", lost: "bad" };
const SHARD_LEVELS = { ready: "ok", connecting: "busy", authenticating: "busy", draining: "busy", backoff: "warn", closed: "off", idle: "off" };

export const isSpeaker = (shard) => String(shard.shard).startsWith("speaker-shard-");

/* [level, word]: of a shard whose node is silent nobody knows how it is. */
export function shardState(shard, node) {
    if (!shard.node) {
        return ["bad", "no node"];
    }
    if (node === undefined || node.state === "silent" || node.state === "lost") {
        return ["bad", "silent"];
    }
    if (Number(shard.login_refused) === 1) {
        return ["bad", "refused"];
    }
    const state = shard.state || "new";
    return [SHARD_LEVELS[state] || "busy", state];
}

function nodeFigures(node) {
    const figures = [];
    const add = (value, what) => figures.push([value, what]);
    add(`${number(node.shards)} of ${number(node.capacity)}`, "shards");
    if (isNumber(node.lines_s)) {
        add(compact(node.lines_s), "lines/s");
    }
    if (isNumber(node.latency_ms)) {
        add(millis(node.latency_ms), "latency");
    }
    if (node.lag_ms > 0) {
        add(millis(node.lag_ms), "lag");
    }
    if (isNumber(node.buffer_bytes) && node.buffer_limit > 0) {
        add(`${Math.round((100 * node.buffer_bytes) / node.buffer_limit)} %`, `of ${bytes(node.buffer_limit)} buffer`);
    }
    return figures;
}

class NodeCard {
    constructor(name) {
        this.name = name;
        this.title = el("h3", null, name === HOMELESS ? "Without a node" : name);
        this.state = el("span", { class: "state" });
        this.about = el("p", { class: "about" });
        this.why = el("p", { class: "why", hidden: true });
        this.figures = el("p", { class: "figures" });
        this.shards = el("div", { class: "shards", role: "toolbar", "aria-label": name === HOMELESS ? "Shards without a node" : `Shards of ${name}` });
        this.empty = el("p", { class: "empty" }, "No shards.");
        this.root = el("li", { class: "node", "data-node": name, "data-level": "off" },
            el("div", { class: "title" }, glyph("off"), this.title, this.state),
            this.about, this.why, this.figures, this.shards, this.empty);
    }

    draw(node, at) {
        setLevel(this.root, NODE_LEVELS[node.state] || "off");
        setText(this.state, node.state || "");
        const since = at && node.since ? `, up ${duration(at - node.since)}` : "";
        setText(this.about, node.host ? `${node.host}, pid ${node.pid}, version ${node.version}${since}` : "");
        setText(this.why, node.error || "");
        show(this.why, Boolean(node.error));
        this.drawFigures(nodeFigures(node));
    }

    drawFigures(figures) {
        while (this.figures.children.length < figures.length) {
            this.figures.append(el("span", null, el("b"), " ", el("span")));
        }
        [...this.figures.children].forEach((item, i) => {
            const [value, what] = figures[i] || ["", ""];
            setText(item.firstElementChild, value);
            setText(item.lastElementChild, what);
        });
    }

    drawLost() {
        setLevel(this.root, "bad");
        setText(this.state, "lost");
        setText(this.why, "It was silent for longer than its lease; its shards went to the other nodes.");
        show(this.why, true);
        this.drawFigures([]);
    }

    drawHomeless(count) {
        setLevel(this.root, "bad");
        setText(this.state, plural(count, "shard"));
        setText(this.why, "No live node can hold them: there is no room, or no node has their account.");
        show(this.why, true);
    }

    hold(tiles) {
        arrange(this.shards, tiles.map((tile) => tile.root));
        show(this.shards, tiles.length > 0);
        show(this.empty, tiles.length === 0);
        /* One of them is reached by Tab, the others by arrow keys. */
        const has = tiles.find((tile) => tile.root.tabIndex === 0) || tiles[0];
        tiles.forEach((tile) => {
            const index = tile === has ? 0 : -1;
            if (tile.root.tabIndex !== index) {
                tile.root.tabIndex = index;
            }
        });
    }
}

class Tile {
    constructor(name) {
        const { bar: track, fill } = bar();
        this.fill = fill;
        this.count = el("span");
        this.limit = el("span", { class: "limit" });
        this.state = el("span", { class: "state" });
        this.rate = el("span", { class: "rate" });
        this.root = el("button", { type: "button", class: "shard", "data-shard": name, "data-level": "off", tabindex: "-1" },
            glyph("off"), el("span", { class: "name" }, name), track, " ", el("span", { class: "count" }, this.count, this.limit), " ", this.state, " ", this.rate);
    }

    draw(shard, node, each) {
        const [level, word] = shardState(shard, node);
        const channels = Number(shard.channels) || 0;
        setLevel(this.root, level);
        setText(this.state, word);
        setText(this.count, isSpeaker(shard) ? "speaks" : String(channels));
        setText(this.limit, each.limit > 0 && !isSpeaker(shard) ? `/${each.limit}` : "");
        setBar(this.fill, channels / each.scale);
        setText(this.rate, isNumber(shard.lines_s) && word === "ready" ? `${compact(shard.lines_s)}/s` : "");
    }
}

export class Nodes {
    constructor(cluster, onShard) {
        this.cluster = cluster;
        this.tiles = new Map();
        this.list = byId("node-list");
        this.cards = new Rows(this.list, (name) => new NodeCard(name));
        this.scale = "";
        this.list.addEventListener("click", (event) => {
            const tile = event.target.closest(".shard");
            if (tile !== null) {
                onShard(tile.dataset.shard);
            }
        });
        this.list.addEventListener("keydown", (event) => this.walk(event));
    }

    /* The arrow keys go through the shards of a node. */
    walk(event) {
        const tile = event.target.closest(".shard");
        if (tile === null) {
            return;
        }
        const all = [...tile.parentElement.children];
        const at = all.indexOf(tile);
        const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
        if (all[to] !== undefined) {
            event.preventDefault();
            tile.tabIndex = -1;
            all[to].tabIndex = 0;
            all[to].focus();
        }
    }

    each() {
        const limit = this.cluster.limit("channels_per_shard");
        let most = 1;
        if (limit === 0) {
            for (const shard of this.cluster.shards.values()) {
                most = Math.max(most, Number(shard.channels) || 0);
            }
        }
        return { limit, scale: limit || most };
    }

    draw(changed) {
        const { nodes, shards, lost, is } = this.cluster;
        if (changed.placed) {
            this.place();
        }
        const each = this.each();
        const scale = `${each.limit}/${each.scale}`;
        const all = changed.placed || scale !== this.scale;
        this.scale = scale;
        for (const name of all ? shards.keys() : this.touched(changed)) {
            const shard = shards.get(name);
            if (shard !== undefined) {
                this.tiles.get(name).draw(shard, nodes.get(shard.node), each);
            }
        }
        for (const [name, card] of this.cards.rows) {
            if (nodes.has(name)) {
                card.draw(nodes.get(name), is.at);
            } else if (lost.has(name)) {
                card.drawLost();
            }
        }
    }

    /* Names of shards that are other than before, or whose node came to be silent, or is not any more. */
    touched(changed) {
        const names = new Set(changed.shards);
        for (const name of changed.nodes) {
            const node = this.cluster.nodes.get(name);
            const card = this.cards.rows.get(name);
            const silent = node !== undefined && node.state === "silent";
            if (card !== undefined && card.silent !== silent) {
                card.silent = silent;
                for (const tile of card.shards.children) {
                    names.add(tile.dataset.shard);
                }
            }
        }
        return names;
    }

    /* Which card has which tiles. */
    place() {
        const { nodes, shards, lost } = this.cluster;
        const held = new Map([...nodes.keys(), ...lost.keys()].map((name) => [name, []]));
        for (const name of this.tiles.keys()) {
            if (!shards.has(name)) {
                this.tiles.delete(name);
            }
        }
        for (const name of [...shards.keys()].sort(byName)) {
            if (!this.tiles.has(name)) {
                this.tiles.set(name, new Tile(name));
            }
            const node = shards.get(name).node;
            const home = nodes.has(node) ? node : HOMELESS;
            held.set(home, [...(held.get(home) || []), this.tiles.get(name)]);
        }
        const names = [...held.keys()].sort(byName);
        this.cards.keep(names);
        for (const name of names) {
            this.cards.rows.get(name).hold(held.get(name));
        }
        if (held.has(HOMELESS)) {
            this.cards.rows.get(HOMELESS).drawHomeless(held.get(HOMELESS).length);
        }
        this.list.classList.toggle("dense", shards.size >= DENSE_FROM);
        show(byId("no-nodes"), nodes.size === 0);
    }
}
