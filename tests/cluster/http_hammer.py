#!/usr/bin/env python3
"""Asks an HTTP server as fast as it can: http_hammer.py PORT SECONDS

64 connections that are kept and get request behind request, and one process more that opens a connection for each. At
the end one line of JSON: requests that were offered (handed to the kernel), answers by status, connections.
"""

import collections
import json
import os
import selectors
import socket
import sys
import time

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
KEPT = 64
BATCH = 50  # requests in one write


def connect(port):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", port))
    return s


def keep_asking(port, until, told):
    """Kept connections: each is written to whenever it takes anything."""
    selector = selectors.DefaultSelector()
    left = {}
    both = selectors.EVENT_READ | selectors.EVENT_WRITE

    def open_one():
        s = connect(port)
        left[s] = REQUEST * BATCH
        selector.register(s, both)
        told["connections"] += 1

    for _ in range(KEPT):
        open_one()
    while time.monotonic() < until:
        for key, events in selector.select(0.05):
            s = key.fileobj
            try:
                if events & selectors.EVENT_WRITE:
                    n = s.send(left[s])
                    told["bytes"] += n
                    left[s] = left[s][n:] or REQUEST * BATCH
                if events & selectors.EVENT_READ:
                    data = s.recv(1 << 20)
                    if not data:
                        raise ConnectionError
                    for status in (b"200", b"429"):
                        told[status.decode()] += data.count(b"HTTP/1.1 " + status)
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(s)
                s.close()
                del left[s]
                open_one()


def ask_anew(port, until, told):
    """A connection for each request, 32 under way at once."""
    under_way = collections.deque()
    while time.monotonic() < until:
        while len(under_way) < 32:
            under_way.append((connect(port), time.monotonic()))
            told["connections"] += 1
        s, since = under_way.popleft()
        try:
            told["bytes"] += s.send(REQUEST)
        except OSError:
            if time.monotonic() - since < 0.2:
                under_way.append((s, since))
                time.sleep(0.0001)
                continue
        s.close()


def main():
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    until = time.monotonic() + seconds
    read, write = os.pipe()
    told = collections.Counter()
    if os.fork() == 0:
        ask_anew(port, until, told)
        os.write(write, json.dumps(told).encode())
        os._exit(0)
    os.close(write)
    keep_asking(port, until, told)
    told.update(json.loads(os.read(read, 65536)))
    os.wait()
    told["offered"] = told.pop("bytes") // len(REQUEST)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
