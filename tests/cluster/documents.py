"""What users read, and its programs, which run as they stand there."""

import os
import re
import shutil

from processes import Process
from shoal import ROOT

DOCUMENTS = ("README.md", "shared/contract.md", "deploy/README.md")
TEXT = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS)
URL = "redis://127.0.0.1:6379"
# Debian's node looks for Debian's modules by itself; another looks neither there nor for what npm installed for all.
NODE_PATH = os.environ.get("NODE_PATH", "/usr/share/nodejs:/usr/lib/node_modules")


def code(language, name=""):
    """The one block of that language, and of that name where it has one."""
    head = f"{language} {name}".strip()
    (block,) = re.findall(rf"^```{head}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return block


def start_program(cluster, tmp_path, language, name="", url=None):
    """The program of the README, for that cluster (by that way to its Redis); where it was started before it is started
    again."""
    source = code(language, name)
    assert URL in source
    title = name or language
    file = tmp_path / f"{title}.{language}"
    file.write_text(source.replace(URL, url or cluster.redis_url).replace('"chat.db"', repr(str(tmp_path / "chat.db"))))
    python = os.environ.get("SHOAL_README_PYTHON", "/usr/bin/python3")  # to try another version of its library
    interpreter = {"python": [python], "js": [shutil.which("node") or "nodejs"]}[language]
    program = Process(title, [*interpreter, file], tmp_path, {"NODE_PATH": NODE_PATH}).start()
    cluster.processes[title] = program
    return program
