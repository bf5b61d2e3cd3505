/* The streams that keep chat: how much, how old, and how far the groups are that read them. */

import { byId, el, Rows, setLevel, setText, show } from "./dom.js";
import { byName, bytes, duration, number, plural } from "./words.js";

class Group {
    constructor(key) {
        const [name, stream] = JSON.parse(key);
        this.behind = el("span", { class: "state" });
        this.pending = el("div");
        this.cuts = el("div");
        const cell = (heading, child) => el("td", { role: "cell", "data-heading": heading }, el("div", null, child));
        this.root = el("tr", { role: "row" },
            el("th", { role: "rowheader", scope: "row" }, name),
            cell("Stream", stream),
            cell("Behind", this.behind),
            cell("Not acknowledged", this.pending),
            cell("Missed something", this.cuts));
    }

    draw(group) {
        setLevel(this.root, group.late ? "warn" : "ok");
        setText(this.behind, group.behind_ms > 0 ? duration(group.behind_ms) : "nothing");
        setText(this.pending, number(group.pending));
        setText(this.cuts, group.cuts > 0 ? plural(group.cuts, "time") : "never");
    }
}

export class Kept {
    constructor(cluster) {
        this.cluster = cluster;
        this.groups = new Rows(byId("group-table").tBodies[0], (key) => new Group(key));
    }

    draw() {
        const kept = this.cluster.is.kept || {};
        const on = kept.streams > 0;
        setText(byId("kept-about"), on ? this.about(kept) : "Nothing is kept (history_ms is off).");
        const groups = new Map((kept.groups || []).map((group) => [JSON.stringify([group.group, group.key]), group]));
        const keys = [...groups.keys()].sort(byName);
        this.groups.keep(keys).forEach((item, i) => item.draw(groups.get(keys[i])));
        show(byId("group-table"), keys.length > 0);
        show(byId("no-groups"), on && keys.length === 0);
    }

    about(kept) {
        const limit = this.cluster.limit("history_bytes");
        const age = kept.age_ms > 0 ? `, the oldest ${duration(kept.age_ms)} old; what is older than ${duration(this.cluster.limit("history_ms"))} goes` : "";
        return `${plural(kept.entries, "entry", "entries")} in ${plural(kept.streams, "stream")}, ${bytes(kept.bytes)} of at most ${bytes(limit)}${age}.`;
    }
}
