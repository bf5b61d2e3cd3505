/* Numbers, times and names as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const collator = new Intl.Collator("en", { numeric: true });

/* n2 before n10. */
export const byName = (a, b) => collator.compare(a, b);

export const isNumber = (n) => typeof n === "number" && Number.isFinite(n);

export const number = (n) => (isNumber(n) ? whole.format(n) : "–");

/* 12,345 as 12.3K. */
export const compact = (n) => (isNumber(n) ? (Math.abs(n) < 10000 ? whole.format(n) : short.format(n)) : "–");

export const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many || `${one}s`}`;

/* What a Date can be made of; anybody may write an event. */
const isTime = (ms) => isNumber(ms) && Math.abs(ms) <= 8.64e15;

export const timeOfDay = (ms) => (isTime(ms) ? clock.format(new Date(ms)) : "–");

export const dayAndTime = (ms) => (isTime(ms) ? day.format(new Date(ms)) : "–");

/* For programs; undefined where it is no time. */
export const isoTime = (ms) => (isTime(ms) ? new Date(ms).toISOString() : undefined);

export function bytes(n) {
    if (!isNumber(n)) {
        return "–";
    }
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    while (n >= 1024 && i < units.length - 1) {
        n /= 1024;
        i++;
    }
    return `${n < 10 && i > 0 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

/* 90061000 as "1 d 1 h": two units at most, the smaller one only beside a small number. */
export function duration(ms) {
    const s = Math.max(0, Math.round(ms / 1000));
    if (!Number.isFinite(s)) {
        return "–";
    }
    if (s < 120) {
        return `${s} s`;
    }
    const m = Math.floor(s / 60);
    if (m < 120) {
        return m < 10 && s % 60 ? `${m} min ${s % 60} s` : `${m} min`;
    }
    const h = Math.floor(m / 60);
    if (h < 48) {
        return h < 10 && m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
    }
    const d = Math.floor(h / 24);
    return d < 10 && h % 24 ? `${d} d ${h % 24} h` : `${d} d`;
}

export const millis = (ms) => (isNumber(ms) ? (ms < 10000 ? `${number(ms)} ms` : duration(ms)) : "–");

/* Control characters and marks that turn the direction of text: shown, not obeyed. */
const OBEYED = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

export const harmless = (text) => String(text).replace(OBEYED, "\ufffd");

/* #Forsen as forsen; "" where it can be no channel. */
export function channelName(text) {
    const name = text.trim().replace(/^#/, "").toLowerCase();
    return /^[a-z0-9_]{1,25}$/.test(name) ? name : "";
}

/* "a, #b c" as a list; what is no name is in `bad`. */
export function channelNames(text) {
    const names = [];
    const bad = [];
    for (const word of text.split(/[\s,]+/).filter(Boolean)) {
        const name = channelName(word);
        if (name === "") {
            bad.push(word);
        } else if (!names.includes(name)) {
            names.push(name);
        }
    }
    return { names, bad };
}

/* "a, b, c and 7 more" */
export function listed(names, most = 12) {
    const more = names.length - most;
    return more > 1 ? `${names.slice(0, most).join(", ")} and ${number(more)} more` : names.join(", ");
}
