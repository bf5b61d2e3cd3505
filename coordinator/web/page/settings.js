/* The settings of the cluster: what is in force, the defaults, and a dialog to change one. */

import { get } from "./api.js";
import { ask } from "./actions.js";
import { byId, el, Rows, setText } from "./dom.js";

class Setting {
    constructor(name, change) {
        this.value = el("div");
        this.otherwise = el("div");
        const button = el("button", { type: "button", click: () => change(name) }, "Change", el("span", { class: "unseen" }, ` ${name}`));
        this.cell = el("td", { role: "cell", "data-heading": "Value" }, this.value);
        this.root = el("tr", { role: "row", "data-setting": name },
            el("th", { role: "rowheader", scope: "row" }, name), this.cell,
            el("td", { role: "cell", "data-heading": "Default" }, this.otherwise),
            el("td", { role: "cell" }, el("div", null, button)));
    }

    draw(value, otherwise) {
        setText(this.value, value === "" ? "not set" : String(value));
        setText(this.otherwise, otherwise === undefined ? "" : otherwise === "" ? "not set" : String(otherwise));
        this.cell.classList.toggle("other", otherwise !== undefined && String(value) !== String(otherwise));
    }
}

export class Settings {
    constructor(cluster, actions) {
        this.cluster = cluster;
        this.actions = actions;
        this.known = new Map(); /* name -> {value, default, allowed} */
        this.rows = new Rows(byId("setting-table").tBodies[0], (name) => new Setting(name, (which) => this.change(which)));
        byId("settings").addEventListener("toggle", () => byId("settings").open && this.read());
    }

    async read() {
        const { body } = await get("settings");
        const rows = Array.isArray(body) ? body : body.settings;
        if (Array.isArray(rows)) {
            this.known = new Map(rows.map((row) => [row.name, row]));
        }
        this.draw();
    }

    draw() {
        if (!byId("settings").open) {
            return;
        }
        const inForce = this.cluster.is.settings || {};
        const names = this.known.size > 0 ? [...this.known.keys()] : Object.keys(inForce);
        this.rows.keep(names).forEach((row, i) => {
            const known = this.known.get(names[i]) || {};
            row.draw(inForce[names[i]] ?? known.value ?? "", known.default);
        });
    }

    async change(name) {
        const known = this.known.get(name) || {};
        setText(byId("setting-title"), name);
        setText(byId("setting-allowed"), known.allowed ? `Allowed: ${known.allowed}.${known.default ? ` Default: ${known.default}.` : ""}` : "");
        byId("setting-value").value = (this.cluster.is.settings || {})[name] ?? known.value ?? "";
        const said = await ask(byId("setting"));
        if (said === "set" || said === "unset") {
            await this.actions.setting(said, name, byId("setting-value").value.trim());
            this.read();
        }
    }
}
