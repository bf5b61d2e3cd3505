"""Between a program and its Redis: sees each command before Redis does, and each answer before the program does.

    proxy = Proxy(cluster.redis_process.port)
    cluster.start_coordinator("c1", env={"SHOAL_REDIS_URL": proxy.url})
    proxy.arm("assign", "before", process.kill)   # ... Redis gets the next assign, or "after" it carried it out
    proxy.cut() ... proxy.heal()                  # nothing passes, and nobody is told; then all that waited does

Commands are named as the steps they are ("assign", "configure setup"), others by their words ("client kill").
"""

import select
import socket
import threading

from shoal import resp_array


def name_of(words):
    words = [word.decode(errors="replace").lower() for word in words]
    if words[0] != "fcall":
        return " ".join(words[:2]) if words[0] in ("client", "function") else words[0]
    step = words[1].removeprefix("shoal1_")
    return f"configure {words[8]}" if step == "configure" else step


def value_end(data, at):
    """Where the answer that begins at `at` ends; None where it is not all there."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind, rest = data[at : at + 1], end + 2
    if kind == b"$":
        rest += max(int(data[at + 1 : end]), -2) + 2
    elif kind == b"*":
        for _ in range(int(data[at + 1 : end])):
            rest = value_end(data, rest)
            if rest is None:
                return None
    return rest if rest <= len(data) else None


class Proxy:
    def __init__(self, redis_port):
        self.seen = []  # names of commands, in order
        self.fired = threading.Event()  # what was armed has happened
        self._armed = None  # (command, "before" or "after", action)
        self._lock = threading.Lock()
        self._passing = threading.Event()
        self._passing.set()
        self._redis_port = redis_port
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def arm(self, command, when, action):
        assert when in ("before", "after")
        with self._lock:
            self.fired.clear()
            self._armed = (command, when, action)

    def cut(self):
        self._passing.clear()

    def heal(self):
        self._passing.set()

    def close(self):
        self._closing = True
        self.heal()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self):
        while not self._closing:
            try:
                program, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(program,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, program):
        try:
            with program, socket.create_connection(("127.0.0.1", self._redis_port)) as server:
                self._pass(program, server)
        except OSError:
            pass  # the one of them is gone, and so is the other now

    def _pass(self, program, server):
        asked, answered = bytearray(), bytearray()
        sent = got = 0  # commands, and answers to them
        fatal = None  # the answer that is not to arrive
        while not self._closing:
            if not self._passing.wait(0.1):
                continue
            for sock in select.select((program, server), (), (), 0.1)[0]:
                data = sock.recv(1 << 16)
                if not data:
                    return
                if sock is program:
                    asked += data
                    while fatal is None and (command := resp_array(bytes(asked), 0))[0]:
                        words, end = command
                        when = self._due(name_of(words))
                        if when == "before":
                            self._fire()
                            return
                        sent += 1
                        if when == "after":
                            fatal = sent
                        server.sendall(asked[:end])
                        del asked[:end]
                else:
                    answered += data
                    while (end := value_end(answered, 0)) is not None:
                        got += 1
                        if got == fatal:
                            self._fire()
                            return
                        program.sendall(answered[:end])
                        del answered[:end]

    def _due(self, name):
        """Is this the command that was armed? Only one is."""
        with self._lock:
            self.seen.append(name)
            if self._armed and self._armed[0] == name:
                _, when, self._action = self._armed
                self._armed = None
                return when
        return None

    def _fire(self):
        self._action()
        self.fired.set()
