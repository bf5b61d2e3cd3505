"""What Redis refuses while a cluster runs: told once with the mend, tried again soon, and nothing is lost or doubled."""

import time

from proxy import Proxy
from processes import wait_until


def lines(process, *words):
    return [line for line in process.text().splitlines() if all(word in line for word in words)]


def behind(bare, name="r2", **kwargs):
    """A second Redis that replicates the first, with all that it has."""
    other = bare.start_redis(name=name, **kwargs)
    other.client.replicaof("127.0.0.1", bare.redis_process.port)
    wait_until(lambda: other.client.info("replication").get("master_link_status") == "up", 20, "it replicates")
    return other


def test_a_demoted_primary_whose_connections_stay_open_is_left_by_a_quiet_cluster(bare):
    first = bare.start_redis("--repl-diskless-sync-delay", "0")
    bare.start_sim("--verified")
    proxies = [Proxy(first.port), Proxy(first.port)]
    try:
        bare.start_coordinator(env={"SHOAL_REDIS_URL": proxies[0].url})
        node = bare.start_node("n1", env={"SHOAL_REDIS_URL": proxies[1].url})
        bare.join("alice")
        second = behind(bare)
        wait_until(lambda: second.client.hget(bare.key("config"), "setup") == "done", 10, "it has all")

        second.client.replicaof("NO", "ONE")
        first.client.replicaof("127.0.0.1", second.port)
        for proxy in proxies:
            proxy._redis_port = second.port  # whoever connects anew; what is open stays
        bare.redis = second.client
        began = time.monotonic()
        bell = bare.topic("send:alice")
        wait_until(lambda: second.client.publish(bell, '{"text":"hello","id":"after-1"}') >= 1, 10, "it is heard")
        assert bare.result("after-1", 10)["status"] == "sent"
        wait_until(lambda: bare.request("join", channels="bob")["ok"], 10, "requests are answered")
        assert time.monotonic() - began < 10
        names = {c["name"] for c in first.client.client_list() if c["name"].startswith("shoal-")}
        assert not names, "nobody stays at the old one"
        (told,) = lines(node, " warn ", "redis.down", "replica")
        assert "redis_url should name the primary" in told
    finally:
        for proxy in proxies:
            proxy.close()


def test_a_library_that_lacks_a_function_is_loaded_again_whatever_its_revision(cluster):
    cluster.sim.control("limit all=off")
    source = cluster.redis.execute_command("FUNCTION", "LIST", "WITHCODE")[0]
    code = source[source.index("library_code") + 1]
    node = cluster.start_node("n1")
    cluster.join("alice")
    for function in ("send_done", "lead"):
        registered = f"step('{function}', "
        assert registered in code
        less = code.replace(registered, f"step('another_{function}', ")
        assert cluster.redis.function_load(less, replace=True) == "shoal1"
        name = f"shoal1_{function}"

        def is_there(name=name):
            functions = cluster.redis.execute_command("FUNCTION", "LIST")[0]
            return name in str(functions)

        wait_until(is_there, 10, f"{name} is there again")
        result = cluster.send("alice", f"hello {function}")
        assert result["status"] == "sent", result
        assert cluster.request("join", channels="bob")["ok"]
    assert node.is_running()
