"""Run a program and measure its time and the memory of all processes that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Usage:
    """What a program took."""

    wall: float
    cpu: float
    own_memory: float
    resident_memory: float


def descendants(root: int) -> list[int]:
    """A process and all that it started."""
    found = [root]
    for process in found:
        try:
            for task in os.listdir(f"/proc/{process}/task"):
                found += [int(child) for child in Path(f"/proc/{process}/task/{task}/children").read_text().split()]
        except OSError:
            continue
    return found


def memory(root: int) -> tuple[float, float]:
    """What a process and its descendants hold alone, and their resident pages, in MiB."""
    own, resident = 0, 0
    for process in descendants(root):
        try:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
        except OSError:
            continue
        values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("RssAnon", "VmRSS"))}
        own += int(values.get("RssAnon", 0))
        resident += int(values.get("VmRSS", 0))
    return own / 1024, resident / 1024


def run(command: list[str], directory: Path) -> Usage:
    """Runs a program to its end and measures it."""
    start = time.perf_counter()
    with (directory / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        own, resident = 0.0, 0.0
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            now = memory(process.pid)
            own, resident = max(own, now[0]), max(resident, now[1])
            time.sleep(0.02)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{(directory / 'log.txt').read_text()[-4000:]}")
    return Usage(wall, usage.ru_utime + usage.ru_stime, own, resident)
