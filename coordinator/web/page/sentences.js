/* Events as sentences. */

import { bytes, dayAndTime, duration, number, timeOfDay } from "./words.js";

const because = (why) => (why ? `: ${why}` : "");
const on = (node) => (node ? ` on ${node}` : "");

/* event -> [level, kind for the filter, its sentence] */
const SENTENCES = {
    "cluster.setup": ["ok", "cluster", () => "The cluster was created"],
    "cluster.start": ["ok", "cluster", () => "All shards were asked to connect"],
    "cluster.stop": ["warn", "cluster", () => "All shards were asked to close"],
    "config.set": ["ok", "cluster", (e) => `Setting ${e.name} is ${e.value} now`],
    "config.unset": ["ok", "cluster", (e) => `Setting ${e.name} has its default again`],
    "leader.elected": ["ok", "cluster", (e) => `Coordinator ${e.coordinator} leads now`],
    "node.up": ["ok", "node", (e) => `Node ${e.node} is up, on ${e.host}, pid ${e.pid}`],
    "node.fenced": ["warn", "node", (e) => `Node ${e.node} was past its lease and wrote nothing until Redis confirmed it${because(e.why)}`],
    "node.lost": ["bad", "node", (e) => `Node ${e.node} lost its lease, dropped what it held and registered anew${because(e.why)}`],
    "node.left": ["ok", "node", (e) => `Node ${e.node} left in order`],
    "node.silent": ["bad", "node", (e) => `Node ${e.node} is silent; no live node can take any of its shards`],
    "node.blind": ["bad", "node", (e) => `Node ${e.node} does not see Twitch${because(e.why)}`],
    "node.sees": ["ok", "node", (e) => `Node ${e.node} sees Twitch again`],
    "node.expired": ["bad", "node", (e) => `Node ${e.node} was silent for a lease; its shards go to others`],
    "shard.added": ["ok", "shard", (e) => `Shard ${e.shard} was opened for ${e.user}`],
    "shard.placed": ["ok", "shard", (e) => `Node ${e.node} holds ${e.shard} from now on`],
    "shard.removed": ["off", "shard", (e) => `Shard ${e.shard} had no channels and was closed`],
    "shard.idle": ["off", "shard", (e) => `${e.shard} rests${on(e.node)}`],
    "shard.connecting": ["busy", "shard", (e) => `${e.shard} connects${on(e.node)}${because(e.error)}`],
    "shard.authenticating": ["busy", "shard", (e) => `${e.shard} logs in${on(e.node)}`],
    "shard.ready": ["ok", "shard", (e) => `${e.shard} is ready${on(e.node)}`],
    "shard.backoff": ["warn", "shard", (e) => `${e.shard} waits to connect again${on(e.node)}${because(e.error)}`],
    "shard.draining": ["busy", "shard", (e) => `${e.shard} is about to close${on(e.node)}`],
    "shard.closed": ["off", "shard", (e) => `${e.shard} is closed${on(e.node)}${because(e.error)}`],
    "account.added": ["ok", "account", (e) => `Account ${e.account} was added`],
    "account.replaced": ["ok", "account", (e) => `Account ${e.account} was given new tokens`],
    "account.removed": ["off", "account", (e) => `Account ${e.account} is gone`],
    "account.set": ["ok", "account", (e) => `Account ${e.account}: ${e.name} is ${e.value} now`],
    "account.usable": ["ok", "account", (e) => `Account ${e.account} is usable`],
    "account.new": ["warn", "account", (e) => `Account ${e.account} is looked at anew${because(e.error)}`],
    "account.login_required": ["bad", "account", (e) => `Account ${e.account} has to log in again${because(e.error)}`],
    "account.locked": ["bad", "account", (e) => `No key opens the tokens of account ${e.account}${because(e.error)}`],
    "account.refused": ["warn", "account", (e) => `Twitch could not say whether the token of ${e.account} is valid${because(e.error)}`],
    "account.revoking": ["warn", "account", (e) => `The tokens of ${e.account} are being ended at Twitch${because(e.error)}`],
    "account.revoked": ["off", "account", (e) => `Twitch has ended the tokens of ${e.account}, and it is gone`],
    "account.muted": ["bad", "account", (e) => `Twitch says nothing of ${e.account} until ${timeOfDay(Number(e.until))}: it was too fast`],
    "account.unmuted": ["ok", "account", (e) => `Account ${e.account} may speak again`],
    "account.refreshed": ["ok", "account", (e) => `Account ${e.account} has new tokens from Twitch`],
    "account.resealed": ["ok", "account", (e) => `The tokens of ${e.account} are sealed under another key`],
    "account.ending": ["warn", "account", (e) => `The token of ${e.account} ends at ${dayAndTime(Number(e.expires_at))}, and it has no refresh token`],
    "channel.failed": ["warn", "channel", (e) => `#${e.channel} cannot be read${because(e.reason)}`],
    gap: ["warn", "channel", gap],
    error: ["bad", "cluster", (e) => `${e.channel ? `#${e.channel}: ` : ""}${e.error}${e.where ? ` (${e.where})` : ""}`],
    "registry.repaired": ["warn", "cluster", (e) => `The registry was mended${because([e.channel && `#${e.channel}`, e.shard, e.node, e.user, e.account, e.key, e.what].filter(Boolean).join(", "))}`],
    "registry.lost": ["bad", "cluster", (e) => `Redis lost its data: ${number(Number(e.channels))} channels and ${number(Number(e.shards))} shards are gone${e.first ? ` (${e.first}, ...)` : ""}; join them again`],
    "history.short": ["warn", "cluster", (e) => `Redis uses ${bytes(Number(e.used))} of ${bytes(Number(e.limit))}: less chat is kept`],
    "history.unread": ["warn", "cluster", (e) => `The readers ${e.group} of ${e.key} were too slow: they miss ${duration(Number(e.to) - Number(e.from))}`],
    "history.not_kept": ["warn", "cluster", (e) => `Chat was not kept for ${duration(Number(e.to) - Number(e.from))}: Redis was full`],
    "history.removed": ["warn", "cluster", (e) => `Somebody took chat of ${duration(Number(e.to) - Number(e.from))} off ${e.key}`],
    "history.emptied": ["bad", "cluster", (e) => `Redis was emptied: the chat that was kept up to ${timeOfDay(Number(e.to))} is gone`],
    "redis.rewound": ["bad", "node", (e) => `Redis has forgotten what it had answered ${e.node}: the last ${duration(Number(e.ms))}, ${number(Number(e.lines))} lines`],
    "redis.clock_back": ["warn", "cluster", (e) => `The clock of Redis went back by ${duration(Number(e.ms))}`],
};

const REASONS = {
    not_joined: "nobody read it",
    buffer_full: "the buffer was full while Redis was away",
    lease_lost: "a node was replaced that held it",
    registry_lost: "Redis lost its data",
};

function gap(e) {
    const ms = Number(e.to) - Number(e.from);
    const lines = Number(e.lines) > 0 ? `, ${number(Number(e.lines))} lines` : "";
    return `Chat of #${e.channel} is missing from ${timeOfDay(Number(e.from))}, ${ms < 1000 ? "less than 1 s" : duration(ms)}${lines}${because(REASONS[e.reason] || e.reason)}`;
}

/* Lists and objects as JSON: of one with a `toString` of its own nothing else makes a text. */
const asText = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : value);

/* What is known of an event that has no sentence here: all of it. */
function plainly(e) {
    const rest = Object.entries(e).filter(([name, value]) => name !== "event" && name !== "at" && value !== "");
    return `${e.event}${because(rest.map(([name, value]) => `${name} ${value}`).join(", "))}`;
}

/* {event, level, kind, text} */
export function inWords(event) {
    const e = Object.fromEntries(Object.entries(event).map(([name, value]) => [name, asText(value)]));
    const row = Object.hasOwn(SENTENCES, e.event) ? SENTENCES[e.event] : ["off", String(e.event).split(".")[0], plainly];
    const [level, kind, say] = row;
    return { event: e.event, level, kind, text: say(e) };
}

/* Events whose sentence this page knows: a test holds them against the contract. */
export const known = Object.keys(SENTENCES);
