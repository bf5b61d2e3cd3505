"""A trace: what a Redis was asked, in its order (MONITOR, which leaves out CLIENT KILL and CONFIG), and what one send went
through in it."""

import re
import socket
import threading
from collections import Counter

from subscriber import resp

AROUND_S = 0.5  # before and after a send
SHOWN = 240  # characters of a line

# Who listens, who is cut off, and what Redis will take: what decides where a send gets to.
TURNS = re.compile(
    r'"(SUBSCRIBE|UNSUBSCRIBE|REPLICAOF|CLIENT" "SETNAME|'
    r'FCALL(_RO)?" "shoal1_(send_listen|register|expire|restate))"',
    re.IGNORECASE,
)
ENTERED = re.compile(r'lua\] "XADD" "[^"]*:outbox" "\*".* "text" "([^"]*)"')
AT = re.compile(r"\+(\d+\.\d+) ")


class Trace(threading.Thread):
    """Written to a file while it runs, since it is long."""

    def __init__(self, port, path):
        super().__init__(daemon=True)
        self._path = path
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._socket.sendall(resp("MONITOR"))
        self._socket.settimeout(None)
        self.start()

    def run(self):
        with open(self._path, "wb") as file:
            while data := self._socket.recv(1 << 20):
                file.write(data)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self.join(5)

    def entered(self):
        """Text -> how often a send on a topic with it became an entry of the outbox."""
        return Counter(ENTERED.findall(self._path.read_text(errors="replace")))

    def of(self, word):
        """What names it, and whoever listened, was cut off or refused shortly before and after."""
        named = re.compile(rf"\b{re.escape(word)}\b")
        lines = self._path.read_text(errors="replace").splitlines()
        about = [float(at[1]) for line in lines if word in line and (at := AT.match(line)) and named.search(line)]
        if not about:
            return ["nothing in the trace"]
        first, last = about[0] - AROUND_S, about[-1] + AROUND_S
        return [
            line[:SHOWN]
            for line in lines
            if (at := AT.match(line)) and first <= float(at[1]) <= last and (named.search(line) or TURNS.search(line))
        ]
