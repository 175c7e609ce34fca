"""A fresh Debian with Python in a directory, and commands in it by a user who is not root and has no network."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import debian_tree

HERE = Path(__file__).resolve().parent
USER = 1000
# Python, and what makes virtual environments with pip in them.
PACKAGES = ("python3-venv",)


class CommandFailed(Exception):
    """A command in the tree failed; the message holds its output."""


class UserTree:
    """Makes the tree at the start of a `with` statement, and removes it at the end."""

    def __init__(self, suite: str, wheels: Path, keeps_tree: bool):
        self.suite = suite
        self.wheels = wheels
        self.keeps_tree = keeps_tree
        self.directory = Path(tempfile.mkdtemp(prefix="kfacd-wheels-", dir="/var/tmp"))
        self.tree = self.directory / "tree"
        self.home = self.tree / "home/user"

    def __enter__(self):
        try:
            self.tree.mkdir(mode=0o755)
            origin = debian_tree.unpack(self.tree, PACKAGES, self.suite)
            print(f"Debian {self.suite}: made {origin}.", flush=True)
            self.directory.chmod(0o755)
            self.home.mkdir(parents=True)
            os.chown(self.home, USER, USER)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def end(self) -> None:
        """Removes the tree. No mount is left: those of a command end with it."""
        if self.keeps_tree:
            print(f"The tree is kept: {self.tree}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *arguments: str, check: bool = True, seconds: float = 300) -> subprocess.CompletedProcess:
        """Runs a command as the user, in the user's home."""
        # A kill of this test ends the command and its children: unshare dies with the test, and process 1 with unshare.
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--kill-child", "--fork", "--pid", "--mount", "--ipc"]
        command += ["--net", str(HERE / "enter"), str(self.tree), str(self.wheels), *arguments]
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", timeout=seconds, check=False,
        )  # fmt: skip
        if check and result.returncode != 0:
            text = " ".join(arguments)
            raise CommandFailed(f"`{text}` exited with {result.returncode}:\n{result.stdout}{result.stderr}")
        return result

    def output(self, *arguments: str, seconds: float = 300) -> str:
        """The output of a command."""
        return self.run(*arguments, seconds=seconds).stdout.strip()

    def copy(self, file: Path) -> None:
        """Puts a file into the user's home."""
        os.chown(shutil.copy(file, self.home), USER, USER)
