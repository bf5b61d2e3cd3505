"""A Debian of the test's own, with a real systemd: a root made by debootstrap, layers over it, booted in namespaces.

Nothing of it is seen outside: mounts, processes and network are in namespaces that end with it. It has no network but
loopback, once it is booted.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

# What makes the root of layers ($1: lower, upper first; $2: upper; $3: work; $4: where) a root to be in.
ENTER = """
mount --make-rprivate / && mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4" && cd "$4" &&
    mount -t proc proc proc && mount -t tmpfs -o mode=755 tmpfs dev && mount -t tmpfs -o mode=755 tmpfs run || exit
for device in null zero full random urandom tty; do
    touch "dev/$device" && mount --bind "/dev/$device" "dev/$device" || exit
done
mkdir dev/shm dev/pts && mount -t tmpfs tmpfs dev/shm && mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts &&
    ln -s pts/ptmx dev/ptmx && ln -s /proc/self/fd dev/fd || exit
"""
RUN = ENTER + 'shift 4 && exec chroot . "$@"'
# Mounts that systemd makes for a service come from below the root's: they are passed on where it is shared.
BOOT = ENTER + """
mount -t sysfs -o ro sysfs sys && mount -t cgroup2 cgroup2 sys/fs/cgroup && ip link set lo up && mkdir -p mnt &&
    pivot_root . mnt && umount --lazy /mnt && mount --make-rshared / &&
    exec /lib/systemd/systemd --show-status=false --log-target=journal --unit=multi-user.target
"""
CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
PROXIES = {name: os.environ[name] for name in ("http_proxy", "https_proxy") if name in os.environ}


class Layers:
    """Directories over each other; only the uppermost is written to."""

    def __init__(self, directory, lower):
        self.directory = Path(directory)
        self.lower = [str(each) for each in lower]
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir(parents=True)

    def over(self, directory):
        """A layer of its own over this one, which nobody changes any more."""
        return Layers(directory, [self.directory / "upper", *self.lower])

    def arguments(self):
        return [":".join(self.lower), *(str(self.directory / name) for name in ("upper", "work", "root"))]

    def run(self, *argv, timeout=300):
        """A command in it, with the network of this machine; what it printed."""
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", RUN, "run"]
        done = subprocess.run(
            [*command, *self.arguments(), *map(str, argv)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
            env={**CLEAN, **PROXIES, "DEBIAN_FRONTEND": "noninteractive"}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{argv}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def path(self, name):
        """Of a file in its uppermost layer."""
        return self.directory / "upper" / str(name).lstrip("/")

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)


class Machine:
    """Layers that are booted, until close()."""

    def __init__(self, layers):
        self.layers = layers
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--net", "--uts", "--ipc"]
        self.process = subprocess.Popen(
            ["unshare", *namespaces, "bash", "-c", BOOT, "boot", *layers.arguments()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**CLEAN, "container": "shoal"},
        )  # fmt: skip
        self.beside = []
        deadline = time.monotonic() + 30
        while self.try_run("systemctl", "is-system-running").stdout.strip() not in ("running", "degraded"):
            assert self.process.poll() is None, self.process.stdout.read().decode()
            assert time.monotonic() < deadline, "the machine does not boot"
            time.sleep(0.05)

    def init(self):
        """The id of its init, as this machine knows it."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return Path(path).read_text().split()[0]

    def try_run(self, *argv, timeout=60):
        """A command in it: CompletedProcess with text."""
        try:
            enter = ["nsenter", "--target", self.init(), "--mount", "--pid", "--net", "--cgroup", "--uts", "--ipc", "--root", "--wd"]
        except (OSError, IndexError):
            enter = ["false"]
        return subprocess.run(
            [*enter, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=timeout, env=CLEAN, check=False,
        )  # fmt: skip

    def run(self, *argv, timeout=60):
        done = self.try_run(*argv, timeout=timeout)
        assert done.returncode == 0, f"{argv}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def show(self, unit, name):
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).strip()

    def start_beside(self, log, *argv):
        """A program of this machine in its network."""
        enter = ["nsenter", "--target", self.init(), "--net"]
        with open(log, "wb") as out:
            self.beside.append(subprocess.Popen(
                [*enter, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=out, stderr=out))  # fmt: skip

    def close(self):
        for process in self.beside:
            process.kill()
            process.wait()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def why_not():
    """Why there can be no such machine here, or None."""
    if os.geteuid() != 0:
        return "making a root needs to be root"
    if not shutil.which("debootstrap"):
        return "debootstrap is not installed"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--cgroup", "--net", "bash", "-c",
         "mount --make-rprivate / && mount -t proc proc /proc && mount -t cgroup2 cgroup2 /mnt"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return None if tried.returncode == 0 else f"no namespaces can be made here: {tried.stderr.strip()}"
