"""A Debian in a directory: made by debootstrap, kept as an archive in the user's cache directory."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SUITE = "bookworm"
MIRROR = os.environ.get("KFACD_DEBIAN_MIRROR", "http://deb.debian.org/debian")


class Unavailable(Exception):
    """The Debian cannot be made here, and kfacd is not the cause."""


def cache_directory() -> Path:
    """The directory of the archives."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "kfacd-systemd"


def unpack(tree: Path, packages: tuple[str, ...], suite: str = SUITE) -> str:
    """Makes the tree of a Debian with the packages in an empty directory; returns whether it came from the archive."""
    names = sorted(packages)
    digest = hashlib.sha256("\n".join((suite, MIRROR, *names)).encode()).hexdigest()[:12]
    archive = cache_directory() / f"{suite}-{digest}.tar"
    if archive.exists():
        subprocess.run(["tar", "--extract", "--file", archive, "--directory", tree, "--numeric-owner"], check=True)
        return "from the archive"
    bootstrap(tree, names, suite)
    keep(tree, archive)
    return "by debootstrap"


def bootstrap(tree: Path, packages: list[str], suite: str) -> None:
    """Downloads and unpacks the packages, and configures them within the tree."""
    command = ["debootstrap", "--variant=minbase", "--include=" + ",".join(packages), suite, str(tree), MIRROR]
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
