/* Health in one line, the problems with their mends, the state of the connection, totals. */

import { byId, el, glyph, onFrame, setLevel, setText, show } from "./dom.js";
import { compact, duration, millis, number, plural } from "./words.js";

/* The coordinator reads Redis each second; past this it does not. */
const STALE_MS = 6000;

const LINK = {
    connecting: ["busy", "Connecting"],
    open: ["ok", "Live"],
    waiting: ["bad", "Connection lost"],
};

export class Head {
    constructor(cluster, connectNow) {
        this.cluster = cluster;
        this.link = { is: "connecting" };
        this.problems = "";
        byId("health").querySelector(".glyph-box").append(glyph("off"));
        byId("link").querySelector(".glyph-box").append(glyph("busy"));
        this.again = el("button", { type: "button", click: connectNow }, "Connect now");
        byId("stale").append(this.again);
        this.totals = new Map();
        setInterval(() => onFrame(this.drawLink), 1000);
    }

    setLink(link) {
        this.link = link;
        onFrame(this.drawLink);
    }

    drawLink = () => {
        const [level, words] = LINK[this.link.is];
        setLevel(byId("link"), level);
        setText(byId("link").querySelector(".words"), words);
        const known = this.cluster.known;
        const age = known ? performance.now() - this.cluster.changedAt : 0;
        const stale = this.staleWords(age);
        show(byId("stale"), stale !== "");
        show(this.again, this.link.is === "waiting");
        /* An alert is read out when it changes: how old all is changes each second, and is no part of it. */
        setText(byId("stale-words"), stale);
        setText(byId("stale-age"), known && stale !== "" ? `What you see is from ${duration(age)} ago.` : "");
        this.drawHealth(stale !== "");
    };

    /* What was seen some time ago is no health. */
    drawHealth(stale) {
        const is = this.cluster.is;
        const bad = (is.problems || []).filter((p) => p.level !== "note").length;
        let [level, word, title] = ["ok", "Healthy", "Healthy"];
        if (!this.cluster.known) {
            const waits = "Waiting until the coordinator has read Redis";
            [level, word, title] = ["off", this.link.is === "open" ? waits : "Connecting to the coordinator", "Connecting"];
        } else if (stale) {
            [level, word, title] = ["off", "Not known now", "Not live"];
        } else if (is.health !== "healthy") {
            [level, word, title] = ["bad", `Degraded: ${plural(bad, "problem")}`, "Degraded"];
        }
        setLevel(byId("health"), level);
        setText(byId("health-word"), word);
        document.title = `${title}: Shoal ${is.cluster || ""}`.trim();
    }

    /* What is said where the page shows what was, not what is; "" where all is well. */
    staleWords(age) {
        if (this.link.is === "waiting" || (this.link.is === "connecting" && age > STALE_MS)) {
            return "The connection to the coordinator is lost. It is tried again by itself.";
        }
        return this.link.is === "open" && age > STALE_MS ? "The coordinator does not hear from Redis." : "";
    }

    draw() {
        const is = this.cluster.is;
        setText(byId("health-leader"), this.leaderWords());
        setText(byId("cluster-name"), is.cluster || "");
        this.drawProblems(is.problems || []);
        this.drawTotals();
    }

    leaderWords() {
        const { leader = {}, coordinator, stopped } = this.cluster.is;
        let words = "No coordinator leads.";
        if (leader.id) {
            words = `${leader.id} leads, on ${leader.host}, for ${duration(leader.leads_ms)}.`;
        }
        if (coordinator) {
            words += coordinator === leader.id ? " This page is from it." : ` This page is from ${coordinator}, which stands by.`;
        }
        return stopped ? `The cluster is stopped. ${words}` : words;
    }

    drawProblems(problems) {
        const told = JSON.stringify(problems);
        if (told === this.problems) {
            return;
        }
        this.problems = told;
        byId("problems").replaceChildren(
            ...problems.map((p) =>
                el("li", { "data-level": p.level === "note" ? "warn" : "bad" }, glyph(p.level === "note" ? "warn" : "bad"),
                    el("span", null, el("span", { class: "unseen" }, p.level === "note" ? "Note: " : "Problem: "), p.text || p.problem,
                        p.mend ? el("span", { class: "mend" }, `Mend: ${p.mend}`) : "")),
            ),
        );
    }

    drawTotals() {
        const c = this.cluster;
        const states = c.is.states || {};
        const joined = states.joined || 0;
        const wanted = c.is.channels || 0;
        const most = c.limit("max_shard_count");
        const ready = [...c.shards.values()].filter((s) => s.state === "ready").length;
        const capacity = c.sum("nodes", "capacity");
        this.total("Channels joined", compact(joined), `of ${plural(wanted, "wanted channel")}${others(states)}`);
        this.total("Shards ready", compact(ready), `of ${number(c.shards.size)}${most > 0 ? `, ${number(most)} allowed` : ""}`);
        this.total("Nodes", compact(c.nodes.size), `with room for ${plural(capacity, "shard")}`);
        this.total("Lines a second", compact(c.sum("shards", "lines_s")), "read from Twitch");
        this.total("Latency", worst(c.nodes, "latency_ms", 0), "from reading to Redis, worst");
        this.total("Lag", worst(c.shards, "lag_ms", 1), "Twitch's answer to a PING, worst");
    }

    total(name, value, more) {
        let row = this.totals.get(name);
        if (row === undefined) {
            row = { value: el("dd"), more: el("dd") };
            this.totals.set(name, row);
            byId("totals-list").append(el("div", null, el("dt", null, name), row.value, row.more));
        }
        setText(row.value, value);
        setText(row.more, more);
    }
}

const others = (states) =>
    Object.entries(states)
        .filter(([state, count]) => state !== "joined" && count > 0)
        .map(([state, count]) => `, ${number(count)} ${state}`)
        .join("");

/* Less than `least` is not measured yet. */
function worst(rows, figure, least) {
    let most = null;
    for (const row of rows.values()) {
        if (row[figure] >= least) {
            most = Math.max(most, row[figure]);
        }
    }
    return most === null ? "–" : millis(most);
}
