"""A Debian whose systemd runs as process 1 of namespaces of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import debian_tree

HERE = Path(__file__).resolve().parent
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/", "PAGER": "cat"}
# The packages of a machine with systemd, and the libraries that kfacd's package depends on, because it is installed
# without a network.
PACKAGES = (
    "dbus",
    "init-system-helpers",
    "libgcc-s1",
    "libmicrohttpd12",
    "libopenblas0",
    "libopenblas0-pthread",
    "libsqlite3-0",
    "libssl3",
    "libstdc++6",
    "libzmq5",
    "procps",
    "systemd",
    "systemd-sysv",
)


class CommandFailed(Exception):
    """A command in the Debian failed; the message holds its output."""


def wait_until(what: str, condition, seconds: float = 60):
    """Evaluates the condition until its value is true, and returns the value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s.")
        time.sleep(0.05)
    return value


class BootedDebian:
    """Boots at the start of a `with` statement; at its end no process, mount, control group or file is left."""

    def __init__(self, keeps_tree: bool = False, extra_packages: tuple[str, ...] = ()):
        self.keeps_tree = keeps_tree
        self.extra_packages = extra_packages
        self.directory = Path(tempfile.mkdtemp(prefix="kfacd-systemd-", dir="/var/tmp"))
        self.tree = self.directory / "tree"
        self.group: Path | None = None
        self.supervisor: subprocess.Popen | None = None
        self.process_1 = 0

    def __enter__(self):
        try:
            self.tree.mkdir(mode=0o755)
            origin = debian_tree.unpack(self.tree, (*PACKAGES, *self.extra_packages))
            print(f"Debian {debian_tree.SUITE}: made {origin}.", flush=True)
            # Each boot gets a new machine identifier. Without one, systemd would ask the questions of a first boot.
            (self.tree / "etc/machine-id").write_text(uuid.uuid4().hex + "\n")
            (self.tree / "etc/hostname").write_text("kfacd-test\n")
            (self.tree / "etc/hosts").write_text("127.0.0.1 localhost kfacd-test\n")
            self.boot()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    # Booting and ending

    def boot(self) -> None:
        """Starts systemd and waits until it has started everything."""
        self.group = self.make_group()
        # A kill of this test ends everything: unshare dies with the test, and process 1 with unshare.
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--kill-child", "--fork", "--pid", "--mount", "--uts"]
        command += ["--ipc", "--net", "--propagation", "private", str(HERE / "boot"), str(self.tree), str(self.group)]
        with (self.directory / "boot.log").open("wb") as log:
            self.supervisor = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.process_1 = wait_until("the first process", self.find_process_1, 10)
        try:
            wait_until("systemd answers", lambda: self.run("systemctl", "list-jobs", check=False).returncode == 0, 30)
            state = self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
        except TimeoutError as error:
            raise CommandFailed(f"{error}\n{self.console()}") from None
        if state != "running":
            failed = self.output("systemctl", "--failed", "--plain", "--no-legend")
            raise CommandFailed(f"systemd is {state}, not running:\n{failed}\n{self.console()}")

    def console(self) -> str:
        """The messages of systemd's boot."""
        file = self.tree / "console.log"
        return file.read_text(errors="replace")[-4000:] if file.exists() else "There is no console."

    def find_process_1(self) -> int | None:
        """The child of unshare, once it has become systemd."""
        if self.supervisor.poll() is not None:
            said = (self.directory / "boot.log").read_text(errors="replace")
            raise CommandFailed(f"the Debian did not boot (exit status {self.supervisor.returncode}).\n{said}")
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, fields = stat.read_text().rsplit(")", 1)
            except OSError:
                continue
            if int(fields.split()[1]) == self.supervisor.pid and name.endswith("(systemd"):
                return int(stat.parent.name)
        return None

    def make_group(self) -> Path:
        """An empty control group, which the Debian sees as the root."""
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        root = next(Path(fields[1]) for fields in mounts if fields[2] == "cgroup2")
        group = root / self.directory.name
        try:
            group.mkdir()
        except OSError as error:
            raise debian_tree.Unavailable(f"no control group can be made in {root}: {error.strerror}.") from None
        return group

    def end(self) -> None:
        """Ends every process of the Debian and removes its remains."""
        # A second Ctrl-C must not leave this half done.
        previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            if self.supervisor and self.supervisor.poll() is None:
                # When the first process of a process namespace ends, all its processes and mounts end too.
                os.kill(self.process_1 or self.supervisor.pid, signal.SIGKILL)
                self.supervisor.wait(timeout=30)
            if self.group and self.group.exists():
                self.remove_group()
            if self.keeps_tree:
                print(f"The tree is kept: {self.tree}")
            else:
                shutil.rmtree(self.directory, ignore_errors=True)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def remove_group(self) -> None:
        """Removes the control groups that systemd made, the innermost first."""
        for folder, _, _ in os.walk(self.group, topdown=False):
            # A process that was just killed leaves its group a moment later.
            wait_until(f"{folder} is removed", lambda folder=folder: self.is_removed(folder), 10)

    @staticmethod
    def is_removed(folder: str) -> bool:
        """Whether the control group is gone, or could be removed now."""
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    # Commands

    def inside(self, *arguments: str, only_network: bool = False) -> list[str]:
        """The command line for a command in the Debian, or for a command of this machine in the Debian's network."""
        namespaces = "--net" if only_network else "--all"
        return ["nsenter", "--target", str(self.process_1), namespaces, "--", *map(str, arguments)]

    def run(self, *arguments: str, check: bool = True, seconds: float = 300, only_network: bool = False):
        """Runs a command in the Debian."""
        result = subprocess.run(
            self.inside(*arguments, only_network=only_network),
            env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", timeout=seconds, check=False,
        )  # fmt: skip
        if check and result.returncode != 0:
            command = " ".join(map(str, arguments))
            raise CommandFailed(f"`{command}` exited with {result.returncode}:\n{result.stdout}{result.stderr}")
        return result

    def output(self, *arguments: str, **options) -> str:
        """The output of a command in the Debian."""
        return self.run(*arguments, **options).stdout.strip()

    def get(self, address: str) -> tuple[int, str]:
        """Status and text of an HTTP page, requested within the Debian's network."""
        program = (
            "import sys, urllib.request, urllib.error\n"
            "try: reply = urllib.request.urlopen(sys.argv[1], timeout=10)\n"
            "except urllib.error.HTTPError as error: reply = error\n"
            "except urllib.error.URLError as error: print(0, error.reason); sys.exit()\n"
            "print(reply.status, reply.read().decode())\n"
        )
        status, _, text = self.output(sys.executable, "-c", program, address, only_network=True).partition(" ")
        return int(status), text

    def path(self, inside: str) -> Path:
        """The path of a Debian's file for this process."""
        return self.tree / inside.lstrip("/")

    def write(self, inside: str, text: str) -> None:
        """Writes a file of the Debian, and the directories above it."""
        file = self.path(inside)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
