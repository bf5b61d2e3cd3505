/* The live socket: it connects again by itself, the later the more often it failed, and at once when the browser is
 * back on a network or somebody asks. */

const FIRST_MS = 500;
const LAST_MS = 15000;
const CONNECT_MS = 10000;
/* Messages come each second while Redis is there; a socket without one for so long may lead nowhere. */
const SILENT_MS = 30000;

export class Live {
    /* onMessage(object); onState({is: "connecting" | "open" | "waiting", retryAt: performance.now() of the next try}) */
    constructor(onMessage, onState) {
        this.onMessage = onMessage;
        this.onState = onState;
        this.failures = 0;
        this.heardAt = 0;
        this.tail = [];
        this.socket = null;
        this.timer = 0;
        addEventListener("online", () => this.connect());
        document.addEventListener("visibilitychange", () => document.hidden || this.connect());
        setInterval(() => this.watch(), 1000);
    }

    /* At once, unless it is connected; from then on it stays so. */
    connect() {
        if (this.socket !== null) {
            return;
        }
        clearTimeout(this.timer);
        this.onState({ is: "connecting" });
        const url = new URL("api/v1/live", location.href);
        url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
        url.hash = "";
        const socket = new WebSocket(url);
        this.socket = socket;
        this.heardAt = performance.now();
        socket.onopen = () => {
            this.heardAt = performance.now();
            this.onState({ is: "open" });
            if (this.tail.length > 0) {
                this.sendTail();
            }
        };
        socket.onmessage = (event) => this.heard(socket, event.data);
        socket.onclose = () => this.lost(socket);
    }

    heard(socket, text) {
        if (socket !== this.socket) {
            return;
        }
        let message = null;
        try {
            message = JSON.parse(text);
        } catch {
            socket.close();
            return;
        }
        this.heardAt = performance.now();
        this.failures = 0;
        this.onMessage(message);
    }

    lost(socket) {
        if (socket !== this.socket) {
            return;
        }
        this.socket = null;
        const pause = Math.min(LAST_MS, FIRST_MS * 2 ** this.failures) * (0.8 + 0.4 * Math.random());
        this.failures = Math.min(this.failures + 1, 10);
        this.onState({ is: "waiting", retryAt: performance.now() + pause });
        this.timer = setTimeout(() => this.connect(), pause);
    }

    watch() {
        const socket = this.socket;
        if (socket === null) {
            return;
        }
        const most = socket.readyState === WebSocket.CONNECTING ? CONNECT_MS : SILENT_MS;
        if (performance.now() - this.heardAt > most) {
            this.lost(socket);
            socket.close();
        }
    }

    /* The channels whose chat is to come, in place of the former ones. */
    follow(channels) {
        this.tail = channels;
        this.sendTail();
    }

    sendTail() {
        if (this.socket !== null && this.socket.readyState === WebSocket.OPEN) {
            this.socket.send(JSON.stringify({ tail: this.tail }));
        }
    }
}
