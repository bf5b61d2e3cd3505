/* Joins in progress with their time to go; accounts with rooms, messages and time left of their tokens; budgets. */

import { bar, byId, el, glyph, Rows, setBar, setLevel, setText, show } from "./dom.js";
import { byName, duration, isNumber, number } from "./words.js";

const LEVELS = { usable: "ok", new: "busy", refused: "warn", revoking: "warn", locked: "bad", login_required: "bad" };
const BUDGETS = { login: "Logins", join: "Joins", message: "Messages", message_mod: "Messages, all", rooms: "Rooms" };
const ENDS_SOON_MS = 3600000;

function row(parts) {
    const { bar: track, fill } = bar();
    const value = el("span");
    return { ...parts, value, fill, track };
}

/* How long it takes; with no limit it is no matter of time. */
function joinsLeft(join, count) {
    if (!isNumber(join.left_ms)) return "stopped";
    return join.left_ms >= 1000 ? `about ${duration(join.left_ms)} to go` : `${number(count("assigned") + count("queued") + count("joining"))} to go`;
}

class Join {
    constructor(user) {
        Object.assign(this, row({}));
        this.more = el("p", { class: "more" });
        this.root = el("li", null, el("p", { class: "line" }, el("strong", null, user), this.value), this.track, this.more);
    }

    draw(join) {
        const count = (name) => Number(join[name]) || 0;
        const all = ["assigned", "queued", "joining", "joined", "failed"].reduce((sum, name) => sum + count(name), 0);
        setBar(this.fill, all > 0 ? count("joined") / all : 0);
        setText(this.value, joinsLeft(join, count));
        const counts = ["queued", "joining", "assigned", "failed"].filter((name) => count(name) > 0);
        setText(this.more, [`${number(count("joined"))} of ${number(all)} joined`, ...counts.map((name) => `${number(count(name))} ${name}`)].join(", "));
    }
}

class Account {
    constructor(name) {
        this.state = el("span");
        this.why = el("span", { class: "why" });
        this.does = el("div");
        this.rooms = row({});
        this.messages = row({});
        this.left = el("div");
        this.stateBox = el("span", { class: "state", "data-level": "off" }, glyph("off"), this.state);
        const cell = (heading, ...children) => el("td", { role: "cell", "data-heading": heading }, el("div", null, ...children));
        this.root = el("tr", { role: "row", "data-account": name },
            el("th", { role: "rowheader", scope: "row" }, name),
            cell("State", this.stateBox, this.why),
            cell("Does", this.does),
            cell("Rooms", this.rooms.value, this.rooms.track),
            cell("Messages left", this.messages.value, this.messages.track),
            cell("Token left", this.left));
    }

    draw(account, muted) {
        const state = account.state || "token file";
        setLevel(this.stateBox, muted ? "bad" : LEVELS[state] || "ok");
        setText(this.state, muted ? `${state}, muted` : state.replace("_", " "));
        setText(this.why, muted ? `Twitch says nothing of it for ${duration(muted.left_ms)}.` : account.error || "");
        setText(this.does, [account.reads !== "no" && "reads", account.says !== "no" && "says"].filter(Boolean).join(", ") || "nothing");
        drawMeter(this.rooms, account.rooms, account.room_limit);
        drawMeter(this.messages, account.messages_left, account.message_limit);
        const ends = isNumber(account.left_ms);
        setText(this.left, ends ? (account.left_ms > 0 ? duration(account.left_ms) : "ended") : "not known");
        this.left.classList.toggle("soon", ends && account.left_ms < ENDS_SOON_MS);
    }
}

function drawMeter(meter, has, most) {
    setText(meter.value, isNumber(has) ? (most > 0 ? `${number(has)} of ${number(most)}` : `${number(has)}, no limit`) : "–");
    show(meter.track, isNumber(has) && most > 0);
    setBar(meter.fill, most > 0 ? has / most : 0);
}

class Budget {
    constructor(name) {
        Object.assign(this, row({}));
        this.root = el("li", { "data-level": "ok" }, el("p", { class: "line" }, el("span", null, BUDGETS[name] || name), this.value), this.track);
    }

    draw(budget) {
        const window = budget.window_ms > 0 ? ` in ${duration(budget.window_ms)}` : "";
        const full = budget.limit > 0 && budget.used >= budget.limit;
        setText(this.value, budget.limit > 0 ? `${number(budget.used)} of ${number(budget.limit)}${window}` : `${number(budget.used)}, no limit`);
        show(this.track, budget.limit > 0);
        setBar(this.fill, budget.limit > 0 ? budget.used / budget.limit : 0);
        setLevel(this.root, full ? "warn" : "ok");
    }
}

export class Accounts {
    constructor(cluster) {
        this.cluster = cluster;
        this.joins = new Rows(byId("join-list"), (name) => new Join(name));
        this.accounts = new Rows(byId("account-table").tBodies[0], (name) => new Account(name));
        this.budgets = new Rows(byId("budget-list"), (name) => new Budget(name));
    }

    draw() {
        const is = this.cluster.is;
        const joins = (is.joins || []).filter((join) => ["assigned", "queued", "joining"].some((name) => Number(join[name]) > 0));
        this.joins.keep(joins.map((join) => join.user)).forEach((item, i) => item.draw(joins[i]));
        show(byId("no-joins"), joins.length === 0);

        const all = this.together();
        const muted = new Map((is.muted || []).map((entry) => [entry.account, entry]));
        const names = [...all.keys()].sort(byName);
        this.accounts.keep(names).forEach((item, i) => item.draw(all.get(names[i]), muted.get(names[i])));
        show(byId("account-table"), names.length > 0);
        show(byId("no-accounts"), names.length === 0);

        const budgets = (is.budgets || []).filter((budget) => budget.budget !== "rooms");
        this.budgets.keep(budgets.map((budget) => budget.budget)).forEach((item, i) => item.draw(budgets[i]));
        setText(byId("budgets-of"), is.user ? ` of ${is.user}` : "");
    }

    /* Accounts, and readers whose token is in a file: of those the rooms are known. */
    together() {
        const all = new Map(this.cluster.accounts);
        for (const reader of this.cluster.is.readers || []) {
            const account = all.get(reader.reader);
            if (account === undefined) {
                const state = reader.reader === "anonymous" ? "anonymous" : undefined;
                const says = state === undefined ? undefined : "no";
                all.set(reader.reader, { state, says, rooms: reader.rooms, room_limit: reader.limit, error: reader.error });
            }
        }
        return all;
    }
}
