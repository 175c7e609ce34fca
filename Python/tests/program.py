from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import write_job

import kfacd


@pytest.fixture(scope="session")
def kfacctl() -> str:
    """The program: KFACD_KFACCTL, or a build of this repository."""
    build = Path(__file__).parents[2] / ".build"
    for place in (os.environ.get("KFACD_KFACCTL"), build / "debug" / "kfacctl", build / "release" / "kfacctl"):
        if place and os.access(place, os.X_OK):
            os.environ["KFACD_KFACCTL"] = str(place)
            return str(place)
    if found := shutil.which("kfacctl"):
        os.environ["KFACD_KFACCTL"] = found
        return found
    pytest.skip("the program kfacctl is not built")


@pytest.fixture(scope="session")
def finished_job(kfacctl: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Runs a job of these options of the regularizer, once for all tests."""
    done: dict[str, Path] = {}

    def run(options: str) -> Path:
        if options not in done:
            root = tmp_path_factory.mktemp("job")
            kfacd.run(write_job(root, options.split("\n")), workers=1, progress=False)
            done[options] = root
        return done[options]

    return run
