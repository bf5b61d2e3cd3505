/* The dashboard: what the live socket says goes into the model, and what has changed there is drawn, once a frame. */

import { Accounts } from "./accounts.js";
import { Actions } from "./actions.js";
import { Channel } from "./channel.js";
import { Charts } from "./charts.js";
import { onFrame } from "./dom.js";
import { Events } from "./events.js";
import { Head } from "./head.js";
import { Kept } from "./kept.js";
import { Live } from "./live.js";
import { Cluster } from "./model.js";
import { Nodes } from "./nodes.js";
import { Settings } from "./settings.js";
import { ShardDialog, Tip } from "./shard.js";

const cluster = new Cluster();
const live = new Live(hear, (state) => head.setLink(state));
const head = new Head(cluster, () => live.connect());
const charts = new Charts(cluster);
const dialog = new ShardDialog(cluster, (name) => channel.visit(name));
const nodes = new Nodes(cluster, (name) => dialog.open(name));
const tip = new Tip(cluster);
const accounts = new Accounts(cluster);
const kept = new Kept(cluster);
const events = new Events(cluster);
const actions = new Actions(() => channel.look());
const channel = new Channel(cluster, live, (op, name) => actions.channels(op, [name]), (name) => dialog.open(name));
const settings = new Settings(cluster, actions);

function hear(message) {
    if (message.type === "line" || message.type === "missed") {
        channel.hear(message);
    } else if (message.type === "error") {
        actions.tell([{ level: "bad", text: message.error }]);
    } else {
        if (message.type === "status" && cluster.known) {
            channel.missed(); /* whatever happened since the connection was lost */
        } else if (message.type === "event" && message.event.channel === channel.name) {
            channel.happened(message.event);
        }
        cluster.apply(message);
        onFrame(draw);
    }
}

function draw() {
    const changed = cluster.take();
    if (!cluster.known) {
        return;
    }
    head.draw();
    head.drawLink();
    nodes.draw(changed);
    if (changed.shards.size > 0) {
        tip.draw();
        dialog.draw();
    }
    if (changed.rest || changed.accounts.size > 0) {
        accounts.draw();
        settings.draw();
        kept.draw();
    }
    if (changed.history) {
        charts.draw();
    }
    events.draw(changed.events);
}

live.connect();
