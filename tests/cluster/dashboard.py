"""What a coordinator serves over HTTP, as a page and a script see it: the JSON API and the live WebSocket."""

import http.client
import json
import time

from http_raw import port_of
from simclient import Closed, WebSocket
from webclient import Answer

TOKEN = "a-token-of-the-tests-0123456789abcdef"


def token_file(directory):
    """A file with the admin token, as the coordinator wants it."""
    path = directory / "admin-token"
    path.touch(mode=0o600)
    path.write_text(TOKEN + "\n")
    return path


class Api:
    """One coordinator's. The token is sent where a call says so."""

    def __init__(self, process):
        self.port = port_of(process)

    def ask(self, method, path, body=None, timeout=20, **headers):
        """Headers as keywords: content_type=... is Content-Type."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", f"/api/v1/{path}", **headers)

    def got(self, path):
        """What must be there."""
        answer = self.get(path)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.json

    def post(self, path, body, token=TOKEN, **headers):
        text = body if isinstance(body, bytes) else json.dumps(body)
        if token:
            headers["authorization"] = f"Bearer {token}"
        return self.ask("POST", f"/api/v1/{path}", text, content_type="application/json", **headers)

    def done(self, path, **body):
        """The reply to what must be carried out."""
        answer = self.post(path, body)
        assert answer.status == 200, (path, body, answer.status, answer.body)
        return answer.json

    def live(self, **headers):
        return Live(self.port, headers)


class Live:
    """A client of the live WebSocket: `document` is what it knows, with every change applied."""

    KEYS = {"nodes": "node", "shards": "shard", "accounts": "account"}

    def __init__(self, port, headers=None):
        self.socket = WebSocket(port, path="/api/v1/live", headers=headers)
        self.document = None
        self.messages = []  # all that came, oldest first

    def next(self, timeout=10):
        """The next message, applied."""
        deadline = time.monotonic() + timeout
        while True:
            self.socket.sock.settimeout(max(deadline - time.monotonic(), 0.01))
            opcode, fin, payload = self.socket.recv()
            assert fin, "a message in one frame"
            if opcode == 8:
                raise Closed(payload[2:].decode())
            if opcode == 9:
                self.socket.send_frame(payload, 10)
                continue
            message = json.loads(payload.decode())
            self.messages.append(message)
            self.apply(message)
            return message

    def apply(self, message):
        message = dict(message)
        kind = message.pop("type")
        if kind == "status":
            assert self.document is None, "the whole comes once"
            self.document = message
        elif kind == "change":
            gone = message.pop("gone")
            for rows, key in self.KEYS.items():
                fresh = {row[key]: row for row in message.pop(rows)}
                kept = {row[key]: row for row in self.document[rows] if row[key] not in gone[rows]}
                self.document[rows] = list({**kept, **fresh}.values())
            self.document |= message
        elif kind == "event":
            self.document["events"].append(message["event"])

    def until(self, condition, timeout=10, what="what is awaited"):
        """Read until condition(message) is true; that message."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"not within {timeout} s: {what}; last: {self.messages[-3:]}"
            try:
                message = self.next(left)
            except TimeoutError:
                continue
            if condition(message):
                return message

    def row(self, rows, name):
        """A row of the document, or None."""
        return next((row for row in self.document[rows] if row[self.KEYS[rows]] == name), None)

    def say(self, what):
        text = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.socket.send_frame(text)

    def tail(self, *channels):
        self.say({"tail": channels})

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
