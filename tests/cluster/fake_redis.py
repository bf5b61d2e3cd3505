"""A Redis that says what a test wants it to say."""

import socketserver
import threading


class FakeRedis(socketserver.ThreadingTCPServer):
    """Answers like a Redis 6: no functions. With mute it takes connections and says nothing. answers: command (or
    command and first argument, with a blank between them) -> its answer as bytes of RESP."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, mute=False, answers=None):
        super().__init__(("127.0.0.1", 0), FakeClient)
        self.mute = mute
        self.answers = answers or {}
        self.asked = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.server_address[1]}"

    def __exit__(self, *what):
        self.shutdown()
        self.server_close()


class FakeClient(socketserver.StreamRequestHandler):
    def command(self):
        head = self.rfile.readline()
        if not head.startswith(b"*"):
            return None
        args = []
        for _ in range(int(head[1:])):
            size = int(self.rfile.readline()[1:])
            args.append(self.rfile.read(size + 2)[:-2])
        return args

    def handle(self):
        info = f"# Server\r\nredis_version:6.2.14\r\nrun_id:{'6' * 40}\r\nprocess_id:1\r\n"
        try:
            while args := self.command():
                self.server.asked.append(args)
                name = args[0].upper()
                if self.server.mute:
                    continue
                given = self.server.answers.get(name + b" " + b"".join(args[1:2])) or self.server.answers.get(name)
                if given is not None:
                    self.wfile.write(given)
                    continue
                if name == b"PING":
                    answer = "+PONG\r\n"
                elif name == b"INFO":
                    answer = f"${len(info)}\r\n{info}\r\n"
                elif name == b"CLIENT" and args[1].upper() == b"ID":
                    answer = ":7\r\n"
                elif name in (b"CLIENT", b"SELECT", b"AUTH", b"MULTI"):
                    answer = "+OK\r\n"
                elif name in (b"SUBSCRIBE", b"PSUBSCRIBE"):
                    topic = args[1].decode()
                    answer = f"*3\r\n$9\r\nsubscribe\r\n${len(topic)}\r\n{topic}\r\n:1\r\n"
                elif name in (b"XREAD", b"XRANGE"):
                    answer = "*-1\r\n"
                else:
                    shown = args[0].decode()
                    answer = f"-ERR unknown command `{shown}`, with args beginning with: \r\n"
                self.wfile.write(answer.encode())
        except (OSError, ValueError):
            pass
