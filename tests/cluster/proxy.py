"""Between a program and its Redis: sees each command before Redis does, and each answer before the program does.

    proxy = Proxy(cluster.redis_process.port)
    proxy.program = cluster.start_coordinator("c1", env={"SHOAL_REDIS_URL": proxy.url})
    proxy.trap = Trap("assign", "before")         # kill -9 before Redis gets it, or "after" it carried it out
    proxy.trap.sprung.wait(10)
    proxy.cut() ... proxy.heal()                  # nothing passes, and nobody is told
    proxy.cut(at="assign")                        # from the first such command on
    proxy.lead_to(port)                           # another server from the next connection on
    proxy.reset(2)                                # the next two connections break as soon as they are there
    proxy.deafen()                                # who listens by now hears nothing any more, and is not told

Commands are named as the steps they are ("assign", "set user"), others by their words ("client kill").
"""

import select
import socket
import struct
import threading

from subscriber import resp_array


def name_of(words):
    words = [word.decode(errors="replace").lower() for word in words]
    if words[0] != "fcall":
        return " ".join(words[:2]) if words[0] in ("client", "function") else words[0]
    step = words[1].removeprefix("shoal1_")
    return f"set {words[8]}" if step == "set" else step


def value_end(data, at):
    """Where the answer that begins at `at` ends; None where it is not all there."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind, rest = data[at : at + 1], end + 2
    if kind == b"$":
        length = int(data[at + 1 : end])
        rest += length + 2 if length >= 0 else 0
    elif kind == b"*":
        for _ in range(int(data[at + 1 : end])):
            rest = value_end(data, rest)
            if rest is None:
                return None
    return rest if rest <= len(data) else None


class Trap:
    """The program that asks for such a command next is killed, once: at whichever of its proxies that is."""

    def __init__(self, command, when):
        assert when in ("before", "after")
        self.command, self.when = command, when
        self.sprung = threading.Event()
        self.victim = None  # the program that was killed
        self._lock = threading.Lock()
        self._taken = False

    def is_for(self, command):
        with self._lock:
            self._taken, mine = self._taken or command == self.command, not self._taken
            return mine and command == self.command

    def spring(self, program):
        self.victim = program
        program.kill()
        self.sprung.set()


class Proxy:
    def __init__(self, redis_port):
        self.program = None  # who speaks through it
        self.seen = set()  # names of commands
        self.trap = None
        self._cut_at = None
        self._passing = threading.Event()
        self._passing.set()
        self._redis_port = redis_port
        self._resets = 0
        self._listeners = set()  # connections that subscribed to something
        self._deaf = set()
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def lead_to(self, redis_port):
        """New connections go to that server; those that are open stay where they are."""
        self._redis_port = redis_port

    def reset(self, n):
        self._resets = n

    def deafen(self):
        self._deaf |= self._listeners

    def cut(self, at=None):
        self._cut_at = at
        if at is None:
            self._passing.clear()

    def is_cut(self):
        return not self._passing.is_set()

    def heal(self):
        self._cut_at = None
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
            if self._resets > 0:
                self._resets -= 1
                program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                program.close()
                continue
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
        sent = got = 0  # commands that are answered, and answers to them
        skips = 0  # so many commands from here on are not answered
        trap = fatal = None  # the answer that is not to arrive
        while not self._closing:
            if not self._passing.wait(0.1):
                continue
            for sock in select.select((program, server), (), (), 0.1)[0]:
                data = sock.recv(1 << 16)
                if not data:
                    return
                if sock is program:
                    asked += data
                    while (fatal is None or sent < fatal) and (command := resp_array(bytes(asked), 0))[0]:
                        words, end = command
                        name = name_of(words)
                        if name == "client reply":  # SKIP: of it, and of the next one
                            skips = 2
                        skipped, skips = skips > 0, max(skips - 1, 0)
                        sent += not skipped
                        if name == self._cut_at:
                            self.cut()
                            self._passing.wait()  # it and what follows lie in the socket
                        self.seen.add(name)
                        if name in ("subscribe", "psubscribe"):
                            self._listeners.add(program)
                        if self.trap and self.trap.is_for(name):
                            trap = self.trap
                            if trap.when == "before":
                                trap.spring(self.program)
                                return
                            fatal = sent + skipped  # the next answer tells that it was carried out
                        server.sendall(asked[:end])
                        del asked[:end]
                elif program not in self._deaf:
                    answered += data
                    while (end := value_end(answered, 0)) is not None:
                        got += 1
                        if got == fatal:
                            trap.spring(self.program)
                            return
                        program.sendall(answered[:end])
                        del answered[:end]
