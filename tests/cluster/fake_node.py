"""A node as Redis sees it: registers, renews its lease, reports its shards ready. It connects to nothing else."""

import contextlib
import json
import threading
import time
import uuid

import redis


class FakeNode:
    pause = 0.05  # between two renewals

    def __init__(self, cluster, name, capacity=100, users=""):
        self.name = name
        self.tag = f"shoal:{{{cluster.name}}}"
        self.capacity = capacity
        self.users = users
        self._redis = cluster.redis
        self._port = cluster.redis_process.port
        self._stopping = False
        self._register()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _register(self):
        self.incarnation = uuid.uuid4().hex
        self.held = {}  # shard -> epoch, what is asked of it
        self._seen = -1
        self.client = redis.Redis(
            port=self._port, single_connection_client=True, decode_responses=True
        )
        self.link = self.client.client_id()
        self.run_id = self.client.info("server")["run_id"]
        self._call("register", "host", "1", "0", self.capacity, self.users, 0, "active")

    def _call(self, step, *args):
        who = (self.name, self.incarnation, self.link, self.run_id)
        return self.client.execute_command("FCALL", f"shoal1_{step}", 1, self.tag, *who, *args)

    def figures(self, shard):
        """More of what it reports of a shard; of a FakeNode that says more."""
        return {}

    def _renew(self):
        shards = {
            s: {"epoch": int(epoch), "state": ("idle", "ready", "closed")[run], **self.figures(s)}
            for s, (epoch, run) in self.held.items()
        }
        report = json.dumps({"shards": shards}) if shards else ""
        picture = self._call("renew", self._seen, report, "", "host", "1", "0", self.capacity, self.users)
        if picture[2] != self._seen:
            self._seen = picture[2]
            self.held.update({entry[0]: (entry[1], entry[4]) for entry in picture[6]})
            self.held = {s: e for s, e in self.held.items() if s in picture[5]}

    def _run(self):
        while not self._stopping:
            with contextlib.suppress(redis.RedisError, OSError):
                try:
                    self._renew()
                except redis.RedisError:
                    self._register()  # a busy machine did not let it renew in time
            time.sleep(self.pause)

    def die(self):
        """Renew no more; the connection stays open, as that of a process that hangs."""
        self._stopping = True
        self._thread.join(5)

    def is_connected(self):
        """Does Redis still execute what comes over its link?"""
        return bool(self._redis.client_list(client_id=[str(self.link)]))
