"""The wheels that the test installs: those of kfacd, and PyTorch and what else the Python package needs."""

import os
import shutil
import subprocess
from pathlib import Path

from debian_tree import Unavailable, cache_directory

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".build/wheels/environment/bin/python"
TORCH = "torch==2.13.0"


def build(output: Path, binaries: Path | None) -> list[Path]:
    """Makes the wheels of kfacd: of the Python package, and of the programs."""
    command = [str(REPOSITORY / "Deploy/wheels/build"), "--output", str(output)]
    if binaries:
        command += ["--binaries", str(binaries)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return [Path(line) for line in result.stdout.splitlines()]


def add_dependencies(wheels: Path, python: str) -> None:
    """Adds PyTorch for CPUs, numpy, safetensors and what they need, for a version of Python such as 3.11.

    They are kept in the user's cache directory.
    """
    kept = cache_directory() / f"wheels-{python}-{TORCH}"
    kept.mkdir(parents=True, exist_ok=True)
    complete = kept / "complete"
    if not complete.exists():
        command = [str(PYTHON), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--timeout", "15", "--retries", "1"]
        command += ["--only-binary=:all:", "--python-version", python, "--dest", str(kept), "--find-links", str(kept)]
        # PyTorch's own index has the small wheel for CPUs, but not what that needs. PyPI has all, at ten times the
        # size.
        index = ["--no-deps", "--index-url", "https://download.pytorch.org/whl/cpu"]
        try:
            subprocess.run([*command, *index, TORCH], stderr=subprocess.DEVNULL, timeout=600, check=False)
            subprocess.run([*command, TORCH, "numpy", "safetensors"], capture_output=True, timeout=600, check=True)
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace")[-500:]
            raise Unavailable(f"pip could not download {TORCH}, numpy and safetensors:\n{said}") from None
        except subprocess.TimeoutExpired:
            raise Unavailable(f"pip could not download {TORCH}, numpy and safetensors within 600 s.") from None
        complete.touch()
    for file in kept.glob("*.whl"):
        try:
            os.link(file, wheels / file.name)
        except OSError:
            shutil.copy(file, wheels)
