"""Several accounts that read: who takes a channel, within the rooms of each."""

import json
import threading
import uuid

import pytest
import redis

from accounts import account, add, start_twitch
from processes import wait_until

READERS = ("alice", "bob", "carol")
LIMITS = {"readers": "all", "user": "alice", "room_limit": 100, "channels_per_shard": 25, "max_shard_count": "none"}


class Reading:
    """A cluster that reads as accounts in Redis, with nothing limited at Twitch but the rooms."""

    def __init__(self, cluster, tmp_path):
        self.cluster, self.directory = cluster, tmp_path
        cluster.start_redis()
        start_twitch(cluster, tmp_path, "--limits-off")
        cluster.sim.control("limit room-limit=100")
        cluster.write_tokens({})

    def coordinator(self, name="c1", args=(), **settings):
        args = [*args, *self.cluster.account_args]
        return self.cluster.start_coordinator(name, args, **{**LIMITS, **settings})

    def nodes(self, *names):
        for name in names:
            self.cluster.start_node(name, capacity=40, args=("--account-keys", self.cluster.keys))

    def add(self, *logins):
        """Accounts that every node can log in as."""
        for login in logins:
            add(self.cluster, self.directory, login)
        wait_until(lambda: all(self.known(login) for login in logins), 10, f"nodes know {logins}")

    def known(self, login):
        """Can every node log in as it?"""
        nodes = self.cluster.nodes()
        return bool(nodes) and all(login in self.cluster.node(node).get("users", "").split(",") for node in nodes)

    def begin(self, *logins, **settings):
        self.coordinator(**settings)
        wait_until(self.cluster.leader, 10, "a coordinator leads")
        self.nodes("n1", "n2")
        self.add(*logins)
        self.cluster.settle()
        return self

    def set(self, name, value):
        assert self.cluster.request("set", name=name, value=str(value))["ok"]

    def join(self, *names, **fields):
        return self.cluster.request("join", channels=",".join(names), **fields)

    def reader(self, channel):
        shard = self.cluster.channels().get(channel)
        return shard and self.cluster.redis.hget(self.cluster.key(f"shard:{shard}"), "user")

    def rooms(self, login):
        return self.cluster.redis.scard(self.cluster.key(f"rooms:{login}"))

    def state(self, login):
        return account(self.cluster, login).get("state")

    def at_twitch(self, login):
        """In how many rooms that count the simulator has it: {"now", "most"}."""
        return self.cluster.sim.control("stats")["users"][login]["rooms"]


@pytest.fixture
def reading(bare, tmp_path):
    return Reading(bare, tmp_path)


def rooms(first, last):
    return [f"room{i}" for i in range(first, last)]


FULL = "No reader has a room left: " + ", ".join(f"{login} is in 100 of 100 rooms" for login in READERS)


def test_three_accounts_take_a_hundred_channels_each_and_the_next_is_refused_naming_all(reading):
    reading.begin(*READERS)
    reply = reading.join(*rooms(0, 300))
    assert reply["ok"], reply
    assert [reading.rooms(login) for login in READERS] == [100, 100, 100]
    assert reading.join("room300")["refused"] == {"room300": FULL + ". (room_limit is 100)"}
    wait_until(lambda: reading.cluster.joined(*rooms(0, 300)), 40, "all are joined")
    assert [reading.at_twitch(login)["most"] for login in READERS] == [100, 100, 100]
    said = reading.cluster.ctl("status").stdout
    table = [line.split() for line in said[said.index("READER") :].splitlines()[1:4]]
    assert table == [[login, "100", "100"] for login in READERS]
    assert [r["rooms"] for r in reading.cluster.ctl_json("status")[0]["readers"]] == [100, 100, 100]
    done = reading.cluster.ctl("join", "room300", check=False)
    assert done.returncode == 1 and FULL in done.stderr


def test_racing_joins_never_put_an_account_above_its_rooms_though_the_leader_is_killed(reading):
    cluster = reading.cluster
    reading.begin(*READERS)
    reading.coordinator("c2")
    wait_until(lambda: "redis.up" in cluster.processes["c2"].text(), 10, "another stands by")
    replies = cluster.subscribe(cluster.topic("replies"))

    def client(number):
        mine = redis.Redis.from_url(cluster.redis_url, decode_responses=True)
        for i in range(number, 320, 16):
            mine.xadd(cluster.key("requests"), {"id": uuid.uuid4().hex, "op": "join", "channels": f"room{i}"})
        mine.close()

    clients = [threading.Thread(target=client, args=(n,)) for n in range(16)]
    for thread in clients:
        thread.start()
    wait_until(lambda: len(replies.messages) > 50, 20, "the first replies")
    cluster.processes["c1"].kill()
    for thread in clients:
        thread.join()
    wait_until(lambda: len(replies.messages) >= 320, 40, "a reply to each")
    answers = [json.loads(text) for _, text in replies.messages]
    assert sum(answer["ok"] for answer in answers) == 300
    assert all(FULL in why for answer in answers for why in answer["refused"].values())
    assert [reading.rooms(login) for login in READERS] == [100, 100, 100]
    wait_until(cluster.joined, 60, "all are joined")
    assert [reading.at_twitch(login)["most"] for login in READERS] == [100, 100, 100]


def test_anonymous_readers_have_no_room_limit_and_a_change_counts_for_later_joins(reading):
    reading.begin("alice", readers="anonymous")
    assert reading.join(*rooms(0, 150))["ok"]
    wait_until(lambda: reading.cluster.joined(*rooms(0, 150)), 40, "all are joined")
    assert {reading.reader(name) for name in rooms(0, 150)} == {"anonymous"}
    reading.set("readers", "alice,bob")
    assert reading.join(*rooms(150, 160))["ok"]
    assert {reading.reader(name) for name in rooms(0, 150)} == {"anonymous"}
    assert {reading.reader(name) for name in rooms(150, 160)} == {"alice"}
    reading.add("bob")
    reading.set("readers", "bob")
    assert reading.join("room160")["ok"]
    assert reading.reader("room160") == "bob"


def test_an_account_that_dies_gets_no_new_channels_and_takes_them_again_when_it_is_mended(reading):
    cluster = reading.cluster
    reading.begin("alice", "bob", channels_per_shard=50)
    assert reading.join(*rooms(0, 60))["ok"]
    wait_until(lambda: cluster.joined(*rooms(0, 60)), 30, "all are joined")
    assert {reading.reader(name) for name in rooms(0, 60)} == {"alice", "bob"}
    cluster.sim.control("revoke bob")
    cluster.sim.control("disconnect all")
    wait_until(lambda: reading.state("bob") == "login_required", 20, "the login of bob is required")
    assert reading.join(*rooms(60, 70))["ok"]
    assert {reading.reader(name) for name in rooms(60, 70)} == {"alice"}
    kept = [name for name in rooms(0, 60) if reading.reader(name) == "bob"]
    assert kept and not cluster.joined(*kept)  # they stay with it
    reading.set("readers", "alice,bob")
    assert "reader bob takes no channels: its account is login_required" in cluster.ctl("status").stdout
    reading.add("bob")
    wait_until(lambda: reading.state("bob") == "usable", 20, "it is usable again")
    assert reading.join(*rooms(70, 80))["ok"]
    assert "bob" in {reading.reader(name) for name in rooms(70, 80)}
    wait_until(cluster.joined, 60, "all are joined again")


def test_an_account_that_does_not_read_is_passed_over_and_refused_where_it_is_named(reading):
    reading.begin("alice", "bob")
    reading.cluster.ctl("account", "set", "bob", "reads", "no")
    assert reading.join(*rooms(0, 60))["ok"]
    assert {reading.reader(name) for name in rooms(0, 60)} == {"alice"}
    done = reading.cluster.ctl("join", "--user", "bob", "room60", check=False)
    assert done.returncode == 1
    assert "Account bob does not read: shoalctl account set bob reads yes changes that." in done.stderr


def test_a_join_names_the_user_that_reads_and_moves_nothing(reading):
    reading.begin(*READERS, readers="first")
    cluster = reading.cluster
    cluster.ctl("join", "room0")
    cluster.ctl("join", "--user", "carol", "room1", "room2")
    assert [reading.reader(name) for name in rooms(0, 3)] == ["alice", "carol", "carol"]
    done = cluster.ctl("join", "--user", "bob", "room0", "room3", check=False)
    assert done.returncode == 1
    shard = cluster.channels()["room0"]
    assert f"room0: It is on shard {shard} already, which reads as alice; part it first." in done.stderr
    assert [reading.reader(name) for name in ("room0", "room3")] == ["alice", "bob"]
    assert reading.join("room4", user="bob")["ok"]
    assert reading.reader("room4") == "bob"
    assert "no Twitch login" in reading.join("room5", user="no,login")["error"]
    assert cluster.ctl("join", "--user", "No Login", "room5", check=False).returncode == 2
    assert cluster.ctl("part", "--user", "bob", "room4", check=False).returncode == 2


def test_a_channel_joined_as_a_user_while_no_node_is_up_is_read_as_that_user_later(reading):
    reading.begin(*READERS, readers="first")
    cluster = reading.cluster
    for name in ("n1", "n2"):
        cluster.processes[name].stop()
    wait_until(lambda: not cluster.nodes(), 20, "no node is up")
    assert reading.join("room0", user="carol")["waiting"]
    reading.nodes("n3")
    wait_until(lambda: reading.reader("room0") == "carol", 20, "it is read as carol")


def test_rooms_of_a_moderator_do_not_count_and_count_again_when_that_ends(reading):
    cluster = reading.cluster
    cluster.sim.control("user alice mod=room0,room1")
    reading.begin("alice", "bob", room_limit=2)
    assert reading.join("room0", "room1", "alice", user="alice")["ok"]
    wait_until(lambda: cluster.joined("room0", "room1", "alice"), 20, "they are joined")
    wait_until(lambda: reading.rooms("alice") == 0, 10, "none of them counts")
    assert reading.join("room2", "room3", "room4", "room5")["ok"]
    assert "alice is in 2 of 2 rooms, bob is in 2 of 2 rooms" in reading.join("room6")["refused"]["room6"]
    wait_until(cluster.joined, 20, "all are joined")
    assert reading.rooms("alice") == reading.rooms("bob") == 2
    cluster.sim.control("user alice vip=room0")  # and no moderator any more
    assert cluster.send("room0", "hello", user="alice")["status"] == "sent"
    wait_until(lambda: reading.rooms("alice") == 3, 10, "room0 counts again")
    assert "user alice is in 3 rooms; room_limit is 2" in cluster.ctl("status").stdout


@pytest.mark.parametrize("count", [110, 330])
def test_initial_channels_are_split_among_the_readers_within_the_rooms_of_each(reading, count):
    cluster = reading.cluster
    reading.coordinator(args=["--initial-channels", ",".join(rooms(0, count))])
    wait_until(cluster.leader, 10, "a coordinator leads")
    for login in READERS:
        add(cluster, reading.directory, login)
    wait_until(lambda: all(reading.state(login) == "usable" for login in READERS), 10, "all are usable")
    reading.nodes("n1", "n2")
    wait_until(cluster.is_set_up, 20, "the cluster is set up")
    shards = [cluster.shards()[f"initial-shard-{i + 1}"] for i in range(-(-count // 25))]
    assert [shard["user"] for shard in shards] == [READERS[i % 3] for i in range(len(shards))]
    sizes = [int(shard["channels"]) for shard in shards]
    placed = min(count, 300)
    assert sum(sizes) == placed and max(sizes) <= 25
    assert count > 300 or max(sizes) - min(sizes) <= 1
    assert max(reading.rooms(login) for login in READERS) <= 100
    waiting = {name for name, shard in cluster.channels().items() if not shard}
    assert len(waiting) == count - placed
    assert all(FULL in cluster.channel(name)["reason"] for name in waiting)
