"""A real coordinator with real workers, which a test kills and starts again."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import kfacd


class Cluster:
    """The daemons of one test, over loopback, with keys if asked for."""

    def __init__(self, kfacctl: str, root: Path) -> None:
        self.kfacctl, self.root = kfacctl, root
        self.bind = "tcp://127.0.0.1:0"
        self.options: list[str] = []
        self.coordinator_process: subprocess.Popen[bytes] | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.client = kfacd.Coordinator()

    def start(self, *options: str) -> None:
        """Starts the coordinator; again at the same address."""
        self.options = [*options] or self.options
        process = self._daemon(
            "coordinator",
            {"bind": self.bind, "state-directory": self.root / "state", "http": "off", "heartbeat": 200},
            *self.options,
        )
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 180)[0], "the coordinator is not ready"
        line = process.stdout.readline().decode().split()
        assert line[:1] == ["ready"], line
        self.bind = line[1]
        self.client = kfacd.Coordinator(self.bind)
        self.coordinator_process = process

    def kill(self) -> None:
        """Kills the coordinator, as a failing machine does."""
        assert self.coordinator_process is not None
        _kill(self.coordinator_process)

    def start_worker(self, name: str, *options: str) -> None:
        self.workers[name] = self._daemon(
            "worker",
            {"coordinator": self.bind, "name": name, "lanes": 1, "memory": 512, "row-memory": 64},
            *options,
        )

    def kill_worker(self, name: str) -> None:
        _kill(self.workers.pop(name))

    def end(self) -> None:
        for process in [*self.workers.values(), self.coordinator_process]:
            if process is not None and process.poll() is None:
                _kill(process)

    def _daemon(self, role: str, settings: dict[str, object], *options: str) -> subprocess.Popen[bytes]:
        program = Path(self.kfacctl).with_name("kfacd")
        flags = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        with (self.root / f"{role}.log").open("ab") as log:
            return subprocess.Popen(
                [program, role, *flags, *options, "--log-level", "notice", "--end-with-input"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    # Keys

    def make_keys(self, **roles: Sequence[str]) -> None:
        """Makes the coordinator's key, and one for each name; those with a role are authorized."""
        (self.root / "authorized").mkdir()
        for name, own in {"coordinator": (), **roles}.items():
            command = [self.kfacctl, "keygen", name, "--directory", str(self.root)]
            subprocess.run(
                command + [word for role in own for word in ("--role", role)], check=True, capture_output=True
            )
            if own:
                (self.root / "authorized" / f"{name}.public").write_bytes((self.root / f"{name}.public").read_bytes())

    def start_guarded(self) -> None:
        keys = ["--secret-key", str(self.root / "coordinator.secret"), "--authorized-keys"]
        self.start(*keys, str(self.root / "authorized"), "--root", str(self.root))

    def holder(self, name: str, timeout: int | None = None) -> kfacd.Coordinator:
        """The coordinator, as the holder of a key reaches it."""
        return kfacd.Coordinator(
            self.bind, self.root / "coordinator.public", self.root / f"{name}.secret", timeout=timeout
        )

    # What was pushed

    def files(self, run: str) -> dict[str, bytes]:
        """The whole files of a run, by rank and sequence."""
        paths = sorted((self.root / "state" / "runs" / run).glob("*.safetensors"))
        return {path.name.rsplit("-", 1)[0]: path.read_bytes() for path in paths}


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


@pytest.fixture
def cluster(kfacctl: str, tmp_path: Path) -> Iterator[Cluster]:
    """Daemons of this build, which end with the test."""
    if not os.access(Path(kfacctl).with_name("kfacd"), os.X_OK):
        pytest.skip("the program kfacd is not beside kfacctl")
    root = tmp_path / "cluster"
    root.mkdir()
    made = Cluster(kfacctl, root)
    yield made
    made.end()


def factors_of(
    cluster: Cluster, base: Path, factors: str, directory: Path, normalization: str = "tak", missing: bool = False
) -> bytes:
    """The factors that a job makes of partial sums, from files or pushed."""
    directory.mkdir()
    curvature: dict[str, Any] = {"normalization": normalization}
    job = {
        "merge_method": "kfac",
        "base_model": str(base),
        "models": [{"name": "t", "factors": factors}],
        "kfac": {**curvature, **({"missing_curvature": "renormalize"} if missing else {})},
        "outputs": ["factors"],
        "output": str(directory / "out"),
    }
    # JSON is YAML.
    (directory / "job.yaml").write_text(json.dumps(job))
    name = kfacd.submit(directory / "job.yaml", cluster.client)
    assert kfacd.watch(name, cluster.client, progress=False).state == "succeeded"
    return (directory / "out" / "factors" / "t" / "factors.safetensors").read_bytes()
