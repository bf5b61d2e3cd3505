"""A real Prometheus for the tests: it scrapes the processes of a cluster twice a second, by the rules that are shipped."""

import json
import re
import urllib.parse
import urllib.request

from processes import free_port, wait_until
from shoal import ROOT

DIRECTORY = ROOT / "deploy" / "prometheus"

CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}
rule_files: [{rules}]
scrape_configs:
  - {{job_name: shoal-coordinator, file_sd_configs: [{{files: [coordinators.json], refresh_interval: 500ms}}]}}
  - {{job_name: shoal-node, file_sd_configs: [{{files: [nodes.json], refresh_interval: 500ms}}]}}
"""


class Prometheus:
    def __init__(self, cluster):
        self.cluster = cluster
        self.directory = cluster.directory / "prometheus"
        self.directory.mkdir()
        # What has to last for minutes before somebody is woken need not do so here.
        rules = re.sub(r"\n +for: \S+", "", (DIRECTORY / "shoal.rules.yml").read_text())
        (self.directory / "rules.yml").write_text(rules)
        (self.directory / "prometheus.yml").write_text(CONFIG.format(rules="rules.yml"))
        self.watch({}, {})

    def watch(self, coordinators, nodes):
        """Scrape these: name -> port."""
        for name, ports in (("coordinators", coordinators), ("nodes", nodes)):
            groups = [
                {"targets": [f"127.0.0.1:{port}"], "labels": {"cluster": "main", "instance": name_of}}
                for name_of, port in ports.items()
            ]
            (self.directory / f"{name}.new").write_text(json.dumps(groups))
            (self.directory / f"{name}.new").rename(self.directory / f"{name}.json")

    def start(self):
        for _ in range(20):
            self.port = free_port()
            process = self.cluster._start(
                "prometheus",
                ["prometheus", f"--config.file={self.directory}/prometheus.yml"]
                + [f"--storage.tsdb.path={self.directory}/data", f"--web.listen-address=127.0.0.1:{self.port}"],
            )
            if wait_until(lambda: self._is_ready() or not process.is_running(), 20, "Prometheus is ready") is True:
                if process.is_running():
                    return self
            process.expected_to_end = True
            process.close()
        raise AssertionError("Prometheus does not start:\n" + process.text())

    def _get(self, path, **params):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(params)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read()

    def _is_ready(self):
        try:
            return b"Ready" in self._get("/-/ready")
        except OSError:
            return False

    def query(self, expression):
        """The result of an instant query: a list of (labels, value)."""
        answer = json.loads(self._get("/api/v1/query", query=expression))
        assert answer["status"] == "success", (expression, answer)
        return [(sample["metric"], float(sample["value"][1])) for sample in answer["data"]["result"]]

    def firing(self):
        """The names of the alerts that fire."""
        alerts = json.loads(self._get("/api/v1/alerts"))["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
