/* One shard: its figures on pointing at it or by keyboard, and all of it with its channels in a dialog. */

import { byId, el, facts, onFrame, setText, show } from "./dom.js";
import { get } from "./api.js";
import { byName, bytes, compact, duration, isNumber, millis, number, plural } from "./words.js";
import { isSpeaker, shardState } from "./nodes.js";

const SHOWN_CHANNELS = 500;

export function shardFacts(cluster, shard) {
    const each = cluster.limit("channels_per_shard");
    const [, state] = shardState(shard, cluster.nodes.get(shard.node));
    const counts = ["joined", "queued", "joining", "failed"]
        .filter((name) => name === "joined" || Number(shard[name]) > 0)
        .map((name) => `${number(Number(shard[name]) || 0)} ${name}`);
    return [
        ["State", shard.error ? `${state}: ${shard.error}` : state],
        ["Node", shard.node || "none"],
        ["Channels", isSpeaker(shard) ? "none: it speaks" : `${number(Number(shard.channels))}${each > 0 ? ` of ${number(each)}` : ""} (${counts.join(", ")})`],
        ["Lines", `${compact(Number(shard.lines_s) || 0)} a second${isNumber(shard.bytes_s) ? `, ${bytes(shard.bytes_s)}/s` : ""}`],
        ["Lag", shard.lag_ms > 0 ? millis(shard.lag_ms) : "not measured yet"],
        ["Account", shard.user],
        ["Sends by", shard.sender],
    ];
}

/* Beside what is pointed at or focused; Escape puts it away. */
export class Tip {
    constructor(cluster) {
        this.cluster = cluster;
        this.tip = byId("tip");
        this.of = null;
        const list = byId("node-list");
        list.addEventListener("pointerover", (event) => event.pointerType !== "touch" && this.point(event.target));
        list.addEventListener("pointerleave", (event) => this.leave(event));
        this.tip.addEventListener("pointerleave", (event) => this.leave(event));
        list.addEventListener("focusin", (event) => event.target.matches(":focus-visible") && this.point(event.target));
        list.addEventListener("focusout", () => this.hide());
        document.addEventListener("keydown", (event) => event.key === "Escape" && this.hide());
        document.addEventListener("scroll", () => onFrame(this.lay), { passive: true });
    }

    point(target) {
        const tile = target.closest(".shard");
        if (tile === this.of) {
            return;
        }
        this.hide();
        if (tile !== null && this.cluster.shards.has(tile.dataset.shard)) {
            this.of = tile;
            this.draw();
            tile.setAttribute("aria-describedby", "tip");
            show(this.tip, true);
            this.lay();
        }
    }

    /* Its text may be pointed at as well: it goes when the pointer is on neither. */
    leave(event) {
        const to = event.relatedTarget;
        if (this.of === null || !(to instanceof Node && (this.tip.contains(to) || this.of.contains(to)))) {
            this.hide();
        }
    }

    /* Without a gap between them, on which the pointer would be on neither. */
    lay = () => {
        if (this.of === null) {
            return;
        }
        const at = this.of.getBoundingClientRect();
        const box = this.tip.getBoundingClientRect();
        const left = Math.max(8, Math.min(at.left, innerWidth - box.width - 8));
        const top = at.bottom + box.height < innerHeight ? at.bottom : at.top - box.height;
        this.tip.style.left = `${left}px`;
        this.tip.style.top = `${Math.max(8, top)}px`;
    };

    draw() {
        const shard = this.of && this.cluster.shards.get(this.of.dataset.shard);
        if (!shard) {
            this.hide();
            return;
        }
        const list = el("dl");
        facts(list, shardFacts(this.cluster, shard));
        this.tip.replaceChildren(el("strong", null, shard.shard), list);
    }

    hide() {
        if (this.of !== null) {
            this.of.removeAttribute("aria-describedby");
            this.of = null;
            show(this.tip, false);
        }
    }
}

export class ShardDialog {
    constructor(cluster, onChannel) {
        this.cluster = cluster;
        this.onChannel = onChannel;
        this.dialog = byId("shard");
        this.name = "";
        this.channels = [];
        this.more = false;
        this.dialog.querySelector(".close").addEventListener("click", () => this.dialog.close());
        this.dialog.addEventListener("close", () => (this.name = ""));
        byId("shard-filter").addEventListener("input", () => this.drawChannels());
    }

    async open(name) {
        this.name = name;
        this.channels = [];
        byId("shard-filter").value = "";
        byId("shard-channels").replaceChildren();
        setText(byId("shard-title"), name);
        setText(byId("shard-note"), "Its channels are being read.");
        this.draw();
        this.dialog.showModal();
        const { body } = await get(`shards/${encodeURIComponent(name)}`);
        if (this.name !== name) {
            return;
        }
        if (body.error) {
            setText(byId("shard-note"), body.error);
            return;
        }
        const listed = body.channel_list || [];
        this.channels = listed.map((entry) => entry.channel).sort(byName);
        this.more = body.channel_list_more === true;
        this.drawChannels();
    }

    draw() {
        const shard = this.cluster.shards.get(this.name);
        if (shard !== undefined) {
            const opened = shard.since ? [["Opened", `${duration(this.cluster.is.at - shard.since)} ago`]] : [];
            facts(byId("shard-facts"), [...shardFacts(this.cluster, shard), ...opened]);
        }
    }

    drawChannels() {
        const wanted = byId("shard-filter").value.trim().toLowerCase();
        const found = this.channels.filter((name) => name.includes(wanted));
        byId("shard-channels").replaceChildren(
            ...found.slice(0, SHOWN_CHANNELS).map((name) =>
                el("li", null, el("button", { type: "button", class: "plain", click: () => this.choose(name) }, name)),
            ),
        );
        const more = found.length - SHOWN_CHANNELS;
        const unread = this.more ? ` The coordinator lists the first ${number(this.channels.length)}.` : "";
        setText(byId("shard-note"), more > 0 ? `${plural(more, "more channel")}: type a part of the name.${unread}` : found.length === 0 ? `No channels.${unread}` : unread);
    }

    choose(name) {
        this.dialog.close();
        this.onChannel(name);
    }
}
