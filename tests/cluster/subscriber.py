"""Who listens to topics, with a protocol of its own."""

import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

from processes import wait_until


class Subscriber:
    """Messages of topics and patterns, in the order they come. It is back at once where Redis goes and comes.

    A socket of its own, not redis-py's: it has to keep up with a flood while the sanitizers slow down the rest."""

    def __init__(self, url, topics, ca=None):
        self.messages = []  # (topic, payload), text and bytes
        self.times = []  # time.monotonic() of each
        self.confirmed_at = []  # time.monotonic() of each confirmation of a subscription
        self._url = urlsplit(url)
        self._tls = ssl.create_default_context(cafile=ca) if self._url.scheme == "rediss" else None
        if self._tls:
            self._tls.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
        self._plain = [t for t in topics if "*" not in t]
        self._patterns = [t for t in topics if "*" in t]
        self._topics = {}  # bytes -> text
        self._stopping = False
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._failure or len(self.confirmed_at) >= len(topics), 10, f"subscribed to {topics}")
        assert self._failure is None, f"the subscriber failed: {self._failure!r}"

    def _run(self):
        try:
            while not self._stopping:
                try:
                    self._listen()
                except ssl.SSLCertVerificationError:
                    raise  # it is an OSError, and trying again does not mend it
                except OSError:
                    time.sleep(0.005)  # Redis is away
        except Exception as e:  # pylint: disable=broad-except
            self._failure = e

    def _listen(self):
        address = (self._url.hostname, self._url.port)
        with socket.create_connection(address, timeout=5) as plain:
            sock = self._tls.wrap_socket(plain, server_hostname=address[0]) if self._tls else plain
            if self._url.password:
                sock.sendall(resp("AUTH", self._url.password))
                assert sock.recv(100) == b"+OK\r\n", "Redis refuses the password"
            for command, topics in (("SUBSCRIBE", self._plain), ("PSUBSCRIBE", self._patterns)):
                if topics:
                    sock.sendall(resp(command, *topics))
            sock.settimeout(0.2)
            buffer = bytearray()
            while not self._stopping:
                try:
                    data = sock.recv(1 << 20)
                except TimeoutError:
                    continue
                if not data:
                    return
                buffer += data
                del buffer[: self._take(bytes(buffer))]

    def _take(self, data):
        """Take the whole messages in data; how many bytes they were."""
        now = time.monotonic()
        done = 0
        while True:
            message, at = resp_array(data, done)
            if message is None:
                return done
            done = at
            if message[0] in (b"message", b"pmessage"):
                topic = self._topics.get(message[-2])
                if topic is None:
                    topic = self._topics.setdefault(message[-2], message[-2].decode())
                self.times.append(now)
                self.messages.append((topic, message[-1]))
            else:
                self.confirmed_at.append(now)

    def on(self, topic):
        """Payloads of one topic so far."""
        return [payload for name, payload in list(self.messages) if name == topic]

    def texts(self, topic):
        """The same for chat: the trailing texts of the PRIVMSG lines."""
        lines = (payload.split(b" PRIVMSG ", 1) for payload in self.on(topic))
        return [parts[1].split(b" :", 1)[1].decode() for parts in lines if len(parts) == 2]

    def wait_for(self, condition, timeout=10.0, what="a message"):
        """The first (topic, payload) for which condition(topic, payload) holds."""
        return wait_until(
            lambda: next((m for m in list(self.messages) if condition(*m)), None), timeout, what
        )

    def waits_for(self, topic, text, timeout):
        """Does a chat line with that text come in time?"""
        deadline = time.monotonic() + timeout
        while text not in self.texts(topic) and time.monotonic() < deadline:
            time.sleep(0.005)
        return text in self.texts(topic)

    def close(self):
        self._stopping = True
        self._thread.join(5)
        assert self._failure is None, f"the subscriber failed: {self._failure!r}"


def resp(*words):
    """A command as Redis reads it."""
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"".join(
        [b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(w), w) for w in words]
    )


def resp_array(data, at):
    """The array of bulk strings (and numbers) at `at`, and where it ends; None where it is not all there."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None, at
    assert data[at] == ord("*"), f"Redis said {data[at:end]!r}"
    items = []
    at_item = end + 2
    for _ in range(int(data[at + 1 : end])):
        end = data.find(b"\r\n", at_item)
        if end < 0:
            return None, at
        if data[at_item] == ord("$"):
            start, at_item = end + 2, end + 4 + int(data[at_item + 1 : end])
            if at_item > len(data):
                return None, at
            items.append(data[start : at_item - 2])
        else:
            items.append(data[at_item + 1 : end])
            at_item = end + 2
    return items, at_item
