"""What the wheel of the programs holds, and for which machines it is."""

import os
import platform
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProgramsHook(BuildHookInterface):
    """Sets the wheel's tag and its files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """The wheel is for any Python, on this architecture, with the given glibc or a newer one (PEP 600)."""
        glibc = os.environ["KFACD_GLIBC"].replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_{glibc}_{platform.machine()}"
        build_data["shared_scripts"] = self.files("bin", "")
        # Below the environment's prefix, where the programs look for them. The path of site-packages has the version of
        # Python in it, which the programs do not know.
        build_data["shared_data"] = self.files("lib", "lib/kfacd/")

    def files(self, directory: str, place: str) -> dict[str, str]:
        """The files of a directory, each with its path below a place."""
        return {str(file): place + file.name for file in sorted(Path(self.root, directory).iterdir())}
