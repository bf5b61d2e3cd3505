"""HTTP by hand: any bytes to a server, and what it answers."""

import re
import socket

from processes import wait_until


class Answer:
    """status None: the connection ended without an answer."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        first = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", lines[0])
        self.status = int(first[1]) if first else None
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}

    @property
    def length(self):
        return int(self.headers.get("content-length", 0))


def port_of(process):
    """Where a daemon serves HTTP, from its log."""

    def told():
        assert process.is_running(), process.text()
        return re.search(r"http\.listening address=\S+:(\d+)", process.text())

    return int(wait_until(told, 10, "it serves HTTP")[1])


def hear(s, timeout=10):
    """One answer (a HEAD's body is not there, and must not be waited for)."""
    s.settimeout(timeout)
    data = b""
    while True:
        answer = Answer(data)
        if b"\r\n\r\n" in data and len(answer.body) >= answer.length:
            return answer
        try:
            more = s.recv(65536)
        except ConnectionError:
            more = b""
        if not more:
            return answer
        data += more


def ask(port, request, on=None, timeout=10):
    """The answer to these bytes, on a connection of their own unless there is one."""
    s = on or socket.create_connection(("127.0.0.1", port), timeout=timeout)
    try:
        try:
            s.sendall(request)
        except ConnectionError:
            pass  # it has heard enough
        return hear(s, timeout)
    finally:
        if on is None:
            s.close()
