/* A line of chat as Twitch sent it, as what a person reads: who, what. All of it is text of strangers. */

import { harmless } from "./words.js";

const NAME_COLOURS = 10;
const UNESCAPED = { s: " ", n: "\n", r: "\r", ":": ";", "\\": "\\" };

/* {tags, nick, command, params} */
export function parse(line) {
    const tags = {};
    let rest = line;
    const word = () => {
        const end = rest.indexOf(" ");
        const first = end < 0 ? rest : rest.slice(0, end);
        rest = end < 0 ? "" : rest.slice(end + 1).replace(/^ +/, "");
        return first;
    };
    if (rest.startsWith("@")) {
        for (const pair of word().slice(1).split(";")) {
            const [name, ...value] = pair.split("=");
            const text = value.join("=").replace(/\\(.)/g, (_, c) => UNESCAPED[c] ?? c);
            Object.defineProperty(tags, name, { value: text, enumerable: true, configurable: true }); /* the last one counts */
        }
    }
    const prefix = rest.startsWith(":") ? word().slice(1) : "";
    const command = word();
    const params = [];
    while (rest !== "") {
        if (rest.startsWith(":")) {
            params.push(rest.slice(1));
            break;
        }
        params.push(word());
    }
    return { tags, nick: prefix.split("!")[0], command, params };
}

/* The same name has the same colour; one of those that can be read on this ground. */
export function colourOf(name) {
    let hash = 0;
    for (const c of name) {
        hash = (hash * 31 + c.codePointAt(0)) >>> 0;
    }
    return hash % NAME_COLOURS;
}

function cleared({ tags, params }) {
    if (!params[1]) {
        return "The chat was cleared.";
    }
    return tags["ban-duration"] ? `${params[1]} is timed out for ${tags["ban-duration"]} s.` : `${params[1]} is banned.`;
}

const NOTES = {
    USERNOTICE: ({ tags, params }) => [tags["system-msg"], params[1]].filter(Boolean).join(" – "),
    CLEARCHAT: cleared,
    CLEARMSG: ({ tags, params }) => `A message of ${tags.login || "somebody"} was deleted: ${params[1] || ""}`,
    NOTICE: ({ params }) => params[1] || "",
    ROOMSTATE: ({ tags }) =>
        `The modes of the room changed: ${Object.entries(tags).filter(([name]) => name !== "room-id").map(([name, value]) => `${name} ${value}`).join(", ")}`,
};

/* {who, text, action} of what somebody said, {note} of anything else; texts are harmless. */
export function understand(line) {
    const parsed = parse(line);
    const { tags, nick, command, params } = parsed;
    if (command === "PRIVMSG") {
        const action = /^\u0001ACTION (.*?)\u0001?$/.exec(params[1] || "");
        const text = action === null ? params[1] || "" : action[1];
        return { who: harmless(tags["display-name"] || nick), text: harmless(text), action: action !== null };
    }
    const note = Object.hasOwn(NOTES, command) ? NOTES[command](parsed) : "";
    return { note: harmless(note || line) };
}
