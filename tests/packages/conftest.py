"""Fixtures of the tests of packages: the packages, a clean root, a machine where an older version is installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/cluster"))

from machine import Layers, Machine, why_not  # noqa: E402

BUILD = ROOT / "build/packages"
NO_SERVICES = "/usr/sbin/policy-rc.d"
REDIS = "redis-server"


def release(name):
    lines = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return lines[name].strip('"')


def root_of(suite):
    return BUILD / f"root-{suite}"


def build(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, **options)  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="session")
def bootstrap():
    """What makes the clean root, if there is none yet: it goes on while the packages are built."""
    suite = release("VERSION_CODENAME")
    new = BUILD / f"new-{suite}"
    shutil.rmtree(new, ignore_errors=True)
    if why_not() or root_of(suite).exists():
        yield None
        return
    uri = subprocess.run([ROOT / "tests/lib/mirror", suite], capture_output=True, text=True, check=True).stdout.strip()
    if not uri:
        pytest.skip(f"apt names no mirror of Debian {suite}")
    new.mkdir(parents=True)
    log = BUILD / "debootstrap.log"
    with open(log, "wb") as out:
        process = subprocess.Popen(  # its mounts and children end with it
            ["unshare", "--mount", "--pid", "--fork", "--kill-child",
             "debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv", suite, new, uri],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out)  # fmt: skip

    def end():
        assert process.wait(600) == 0, log.read_text()[-4000:]
        (new / "etc/apt/sources.list").write_text(f"deb {uri} {suite} main\n")
        build([ROOT / "tests/lib/apt_settings", new])
        new.rename(root_of(suite))

    yield end
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def packages(bootstrap):
    """What `deploy/packages deb` builds: {package: path}."""
    out = build([ROOT / "deploy/packages", "deb"], timeout=600)
    paths = [ROOT / line for line in out.splitlines() if line.startswith("build/packages/")]
    return {path.name.partition("_")[0]: path for path in paths}


@pytest.fixture(scope="session")
def older(packages, tmp_path_factory):
    """The same under an older version."""
    directory = tmp_path_factory.mktemp("older")
    build(["cpack", "-B", directory, "-D", "CPACK_PACKAGE_VERSION=0.0.1"], cwd=ROOT / "build/deb")
    return {path.name.partition("_")[0]: path for path in directory.glob("*.deb")}


@pytest.fixture(scope="session")
def clean_root(bootstrap):
    """A Debian as this one, as debootstrap makes it, with systemd. It is kept for the next run."""
    why = why_not()
    if why:
        pytest.skip(why)
    if bootstrap:
        bootstrap()
    return root_of(release("VERSION_CODENAME"))


@pytest.fixture(scope="session")
def old_layers(clean_root, older, tmp_path_factory):
    """The older package and a Redis, as apt installs them in a clean root."""
    layers = Layers(tmp_path_factory.mktemp("old"), [clean_root])
    layers.write(NO_SERVICES, "#!/bin/sh\nexit 101\n", 0o755)
    layers.write("/shoal.deb", "")
    shutil.copy(older["shoal"], layers.path("/shoal.deb"))
    layers.run("apt-get", "update", "-qq")
    layers.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "/shoal.deb", REDIS)
    layers.run("rm", NO_SERVICES)
    layers.run("systemctl", "disable", REDIS)
    return layers


@pytest.fixture
def machine(old_layers, tmp_path):
    """A machine on which the older version is installed, and nothing was configured."""
    machine = Machine(old_layers.over(tmp_path / "machine"))
    yield machine
    machine.close()
