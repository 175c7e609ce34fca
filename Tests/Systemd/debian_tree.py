"""A Debian 12 in a directory: made by debootstrap, kept as an archive in the user's cache directory."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SUITE = "bookworm"
MIRROR = os.environ.get("KFACD_DEBIAN_MIRROR", "http://deb.debian.org/debian")
# The packages of a machine with systemd, and the libraries that kfacd's package depends on, because it is installed
# without a network.
PACKAGES = (
    "dbus",
    "init-system-helpers",
    "libgcc-s1",
    "libopenblas0",
    "libopenblas0-pthread",
    "libsqlite3-0",
    "libstdc++6",
    "libzmq5",
    "procps",
    "systemd",
    "systemd-sysv",
)


class Unavailable(Exception):
    """The Debian cannot be made here, and kfacd is not the cause."""


def cache_directory() -> Path:
    """The directory of the archives."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "kfacd-systemd"


def unpack(tree: Path, extra_packages: tuple[str, ...] = ()) -> str:
    """Makes the tree of a Debian in an empty directory; returns whether it came from the archive."""
    packages = sorted((*PACKAGES, *extra_packages))
    digest = hashlib.sha256("\n".join((SUITE, MIRROR, *packages)).encode()).hexdigest()[:12]
    archive = cache_directory() / f"{SUITE}-{digest}.tar"
    if archive.exists():
        subprocess.run(["tar", "--extract", "--file", archive, "--directory", tree, "--numeric-owner"], check=True)
        return "from the archive"
    bootstrap(tree, packages)
    keep(tree, archive)
    return "by debootstrap"


def bootstrap(tree: Path, packages: list[str]) -> None:
    """Downloads and unpacks the packages, and configures them within the tree."""
    command = ["debootstrap", "--variant=minbase", "--include=" + ",".join(packages), SUITE, str(tree), MIRROR]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False)
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-5:])
        raise Unavailable(f"debootstrap failed (is {MIRROR} reachable?):\n{tail}")
    shutil.rmtree(tree / "var/cache/apt/archives", ignore_errors=True)


def keep(tree: Path, archive: Path) -> None:
    """Writes the archive and renames it when it is complete; without it the next run takes longer."""
    partial = archive.with_suffix(f".partial-{os.getpid()}")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "--create", "--file", partial, "--directory", tree, "--numeric-owner", "."], check=True)
        partial.rename(archive)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"The Debian is not kept for the next run: {error}")
    finally:
        partial.unlink(missing_ok=True)
