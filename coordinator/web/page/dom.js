/* Elements: made, changed only where something is other than before, drawn once a frame. Texts of others come into the
 * page as texts alone: nothing here, nor anywhere else, parses markup. */

export const byId = (id) => document.getElementById(id);

/* Children are elements and texts. Of attrs: a function is a listener, true an empty attribute; what is false, null or
 * undefined is left out. */
export function el(name, attrs, ...children) {
    const e = document.createElement(name);
    for (const [key, value] of Object.entries(attrs || {})) {
        if (typeof value === "function") {
            e.addEventListener(key, value);
        } else if (value !== false && value !== null && value !== undefined) {
            e.setAttribute(key, value === true ? "" : value);
        }
    }
    e.append(...children);
    return e;
}

export function setText(e, text) {
    const has = e.firstChild;
    if (has !== null && has.nodeType === Node.TEXT_NODE && has === e.lastChild) {
        if (has.data !== text) {
            has.data = text;
        }
    } else if (has !== null || text !== "") {
        e.textContent = text;
    }
}

export function setAttr(e, name, value) {
    if (value === null) {
        e.removeAttribute(name);
    } else if (e.getAttribute(name) !== value) {
        e.setAttribute(name, value);
    }
}

export function show(e, visible) {
    if (e.hidden === visible) {
        e.hidden = !visible;
    }
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(name, attrs, ...children) {
    const e = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attrs || {})) {
        e.setAttribute(key, value);
    }
    e.append(...children);
    return e;
}

/* The mark of a level: each has a shape of its own, so that colour is never all there is. */
export function glyph(level) {
    return svg("svg", { class: "glyph", "aria-hidden": "true" }, svg("use", { href: `#glyph-${level}` }));
}

/* Of an element that holds a glyph. */
export function setLevel(e, level) {
    if (e.dataset.level !== level) {
        e.dataset.level = level;
        const use = e.querySelector(".glyph use");
        if (use !== null) {
            use.setAttribute("href", `#glyph-${level}`);
        }
    }
}

/* How full, 0 to 1. */
export function setBar(fill, part) {
    const scale = `scaleX(${Math.min(1, Math.max(0, part || 0)).toFixed(3)})`;
    if (fill.scale !== scale) {
        fill.scale = scale;
        fill.style.transform = scale;
    }
}

export function bar() {
    const fill = el("i");
    return { bar: el("span", { class: "bar", "aria-hidden": "true" }, fill), fill };
}

/* The children of `parent` become these, in this order; those that stay where they are keep focus and scrolling. */
export function arrange(parent, children) {
    const wanted = new Set(children);
    for (const child of [...parent.children]) {
        if (!wanted.has(child)) {
            child.remove();
        }
    }
    let at = parent.firstElementChild;
    for (const child of children) {
        if (child === at) {
            at = at.nextElementSibling;
        } else {
            parent.insertBefore(child, at);
        }
    }
}

/* A list of names and values, for what does not change while it is seen. */
export function facts(list, pairs) {
    list.replaceChildren(
        ...pairs
            .filter(([, value]) => value !== "" && value !== null && value !== undefined)
            .flatMap(([name, value]) => [el("dt", null, name), el("dd", null, value)]),
    );
}

/* Rows that live as long as their keys: make(key) gives an object with `root`. */
export class Rows {
    constructor(parent, make) {
        this.parent = parent;
        this.make = make;
        this.rows = new Map();
    }

    /* Exactly these, in this order; gives them. */
    keep(keys) {
        const wanted = new Set(keys);
        for (const key of this.rows.keys()) {
            if (!wanted.has(key)) {
                this.rows.delete(key);
            }
        }
        const rows = keys.map((key) => {
            if (!this.rows.has(key)) {
                this.rows.set(key, this.make(key));
            }
            return this.rows.get(key);
        });
        arrange(
            this.parent,
            rows.map((row) => row.root),
        );
        return rows;
    }
}

const waiting = new Set();
let asked = false;

function draw() {
    asked = false;
    const now = [...waiting];
    waiting.clear();
    for (const work of now) {
        work();
    }
}

/* With the next frame, once, however often it was asked for. A page that nobody sees draws nothing. */
export function onFrame(work) {
    waiting.add(work);
    if (!asked) {
        asked = true;
        requestAnimationFrame(draw);
    }
}
