/* What is done to the cluster: joins, parts, retries, start, stop, settings. It needs the admin token, which is asked for
 * when it is first needed; what cannot be undone at once is asked about before. */

import { hasToken, post, setToken } from "./api.js";
import { byId, el, glyph, setText, show } from "./dom.js";
import { channelNames, harmless, listed, plural, timeOfDay } from "./words.js";

const MOST_CHANNELS = 1000; /* of one request */
const SHOWN_RESULTS = 50;
/* Others a token does not have, and a header may not: some come along unseen when one is pasted. */
const TOKEN = /^[\x21-\x7e]+$/;

/* Opens a dialog of this page, and gives the value of the button that ended it. */
export function ask(dialog) {
    dialog.returnValue = "no";
    dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

function sure(title, text, yes) {
    setText(byId("sure-title"), title);
    setText(byId("sure-text"), text);
    setText(byId("sure-yes"), yes);
    return ask(byId("sure")).then((said) => said === "yes");
}

/* A reply of the contract as sentences: [{level, text}, ...]. */
export function replyInWords(body) {
    const said = [];
    const add = (level, text) => said.push({ level, text });
    for (const [channel, shard] of Object.entries(body.assigned || {})) {
        add("ok", `#${channel} goes to ${shard}.`);
    }
    for (const [channel, why] of Object.entries(body.waiting || {})) {
        add("warn", `#${channel} waits: ${why}`);
    }
    for (const [what, channels] of [["is parted", body.parted], ["is tried again", body.retried]]) {
        (channels || []).forEach((channel) => add("ok", `#${channel} ${what}.`));
    }
    for (const [channel, why] of Object.entries(body.refused || {})) {
        add("bad", `#${channel} is refused: ${why}`);
    }
    if (body.refused_more > 0) {
        add("bad", `${plural(body.refused_more, "more channel is refused", "more channels are refused")}.`);
    }
    if (body.error) {
        add("bad", body.error);
    }
    return said;
}

/* Of many sentences of one level the first ones, and how many more. */
function shortened(said, most = 12) {
    return said.length <= most ? said : [...said.slice(0, most), { level: said[most].level, text: `and ${said.length - most} more.` }];
}

export class Actions {
    constructor(onDone) {
        this.onDone = onDone; /* after something was done */
        byId("act").addEventListener("submit", (event) => {
            event.preventDefault();
            this.askForChannels(event.submitter.dataset.op);
        });
        byId("run-buttons").addEventListener("click", (event) => event.target.dataset.op && this.run(event.target.dataset.op));
        byId("token-button").addEventListener("click", () => (hasToken() ? this.forget() : this.enter("")));
    }

    askForChannels(op) {
        const { names, bad } = channelNames(byId("act-channels").value);
        if (bad.length > 0) {
            this.tell([{ level: "bad", text: `No name of a channel: ${listed(bad)}` }]);
        } else if (names.length === 0 || names.length > MOST_CHANNELS) {
            this.tell([{ level: "bad", text: `Name 1 to ${MOST_CHANNELS} channels.` }]);
        } else {
            this.channels(op, names, op === "join" ? byId("act-user").value.trim().toLowerCase() : "");
        }
    }

    async channels(op, names, user = "") {
        const text = `${listed(names)}. Nothing of ${names.length === 1 ? "it" : "them"} is read any more until joined again.`;
        if (op === "part" && !(await sure(`Part ${plural(names.length, "channel")}?`, text, "Part"))) {
            return;
        }
        await this.send("requests", { op, channels: names, ...(user ? { user } : {}) }, `${op} ${listed(names, 3)}`);
    }

    async run(op) {
        const text = "All shards close, and no chat is read until the cluster is started again. The channels stay wanted.";
        if (op === "stop" && !(await sure("Stop the cluster?", text, "Stop"))) {
            return;
        }
        await this.send("admin", { op }, op);
    }

    /* op: set or unset. True where it was done. */
    setting(op, name, value) {
        return this.send("admin", op === "set" ? { op, name, value } : { op, name }, `${op} ${name}`);
    }

    async send(path, body, what) {
        if (!hasToken() && !(await this.enter(""))) {
            this.tell([{ level: "bad", text: `${what}: not done, it needs the admin token.` }]);
            return false;
        }
        const { status, body: answer } = await post(path, body);
        if (status === 401) {
            this.forget();
            this.tell([{ level: "bad", text: `${what}: refused, the coordinator does not take this token.` }]);
            return (await this.enter("That token was refused.")) && this.send(path, body, what);
        }
        if (status === 202) {
            this.tell([{ level: "warn", text: `${what}: asked for; there is no reply yet (it comes under ${answer.id}).` }]);
        } else {
            const said = shortened(replyInWords(answer));
            this.tell(said.length > 0 ? said : [{ level: "ok", text: `${what}: done.` }]);
        }
        this.onDone();
        return status === 200 && answer.ok !== false && !answer.error;
    }

    tell(said) {
        const time = timeOfDay(Date.now());
        byId("results").prepend(
            ...said.map(({ level, text }) =>
                el("li", { "data-level": level }, el("time", null, time), glyph(level), el("span", { class: "what" }, harmless(text)))),
        );
        while (byId("results").children.length > SHOWN_RESULTS) {
            byId("results").lastElementChild.remove();
        }
        show(byId("no-results"), false);
    }

    async enter(note) {
        const input = byId("token-input");
        input.value = "";
        setText(byId("token-note"), note);
        const said = await ask(byId("token"));
        const given = input.value.trim();
        input.value = "";
        if (said !== "yes" || given === "") {
            return false;
        }
        if (!TOKEN.test(given)) {
            return this.enter("That is no token: it has letters, digits and signs of ASCII, and no blanks.");
        }
        setToken(given);
        this.drawToken();
        return true;
    }

    forget() {
        setToken("");
        this.drawToken();
    }

    drawToken() {
        setText(byId("token-state"), hasToken() ? "With the admin token." : "Read only.");
        setText(byId("token-button"), hasToken() ? "Forget it" : "Enter the admin token");
    }
}
