"""The whole test, see run: makes the wheels, installs them in a fresh Debian, and merges there."""

import argparse
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import debian_tree
import wheelhouse
from report import Report
from user_tree import HERE, UserTree

SKIPPED = 77
PYTHON = "environment/bin/python"


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description="Checks kfacd's wheels on a machine without Swift and without root.")
    parser.add_argument("--binaries", type=Path, help="make the wheels from programs that are built already")
    parser.add_argument("--suite", default=debian_tree.SUITE, help="the release of Debian")
    parser.add_argument("--keep", action="store_true", help="leave the tree of the Debian for a look")
    return parser.parse_args()


class WheelChecks:
    """The checks, each building on those before."""

    def __init__(self, debian: UserTree, wheels: list[Path], binaries: Path):
        self.debian = debian
        self.python_wheel, self.programs_wheel = wheels
        self.binaries = binaries

    def same_wheels(self) -> str:
        """A second build gives the same bytes."""
        with tempfile.TemporaryDirectory() as directory:
            for file in wheelhouse.build(Path(directory), self.binaries):
                first = self.debian.wheels / file.name
                assert digest(first) == digest(file), f"{file.name} has other bytes than the first time."
        size = self.programs_wheel.stat().st_size
        return f"{self.programs_wheel.name} {size / 1e6:.0f} MB"

    def bare(self) -> str:
        """Nothing of kfacd is in the Debian, and the user is not root."""
        assert self.debian.output("id", "-u") == "1000"
        for name in ("swift", "kfacd", "kfacctl"):
            assert self.debian.run("which", name, check=False).returncode != 0, f"{name} is there."
        libraries = self.debian.output("find", "/usr/lib", "-name", "libopenblas*", "-o", "-name", "libzmq*")
        assert not libraries, libraries
        return self.debian.output("ldd", "--version").splitlines()[0]

    def install(self) -> str:
        """pip puts both wheels into an environment."""
        self.debian.run("python3", "-m", "venv", "environment")
        self.install_wheels()
        sizes = self.debian.output("du", "--summarize", "--block-size=1M", "environment/lib/kfacd")
        return f"libraries {sizes.split()[0]} MiB"

    def install_wheels(self, check: bool = True) -> subprocess.CompletedProcess:
        """Installs both wheels by pip; everything that they need is in the same directory."""
        files = [f"/wheels/{wheel.name}" for wheel in (self.python_wheel, self.programs_wheel)]
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", "/wheels"]
        return self.debian.run(*pip, *files, check=check, seconds=600)

    def refused(self) -> str:
        """pip refuses the programs on an older glibc, and names the wheel."""
        self.debian.run("python3", "-m", "venv", "environment")
        result = self.install_wheels(check=False)
        assert result.returncode != 0, "pip installed programs that do not run here."
        said = result.stderr.strip().splitlines()[-1]
        assert f"{self.programs_wheel.name} is not a supported wheel on this platform" in said, said
        return said

    def own_libraries(self) -> str:
        """The programs load the libraries of the wheel, whatever LD_LIBRARY_PATH says, and glibc's."""
        for program in ("kfacd", "kfacctl"):
            path = f"/home/user/environment/bin/{program}"
            text = self.debian.output("env", "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu", "ldd", path)
            places = dict(re.findall(r"(\S+) => (\S+)", text))
            foreign = {name for name, place in places.items() if not place.startswith("/home/user/environment/")}
            of_glibc = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libresolv.so.2"}
            assert foreign <= of_glibc, f"{program} loads {foreign - of_glibc} from elsewhere:\n{text}"
            assert len(places) > 15, text
        return f"{len(places) - len(foreign)} libraries"

    def first_merge(self) -> None:
        """Ten lines give a merged model that loads; nobody activated the environment."""
        for name in ("first_merge.py", "job.yaml"):
            self.debian.copy(HERE / name)
        self.debian.run(PYTHON, "first_merge.py")
        merged, base = (self.debian.home / name for name in ("out/merged/model.safetensors", "base.safetensors"))
        assert digest(merged) != digest(base), "the merged model is the base."

    def same_bytes(self) -> None:
        """The programs of the wheel and those of the package give the same model."""
        with tempfile.TemporaryDirectory() as directory:
            for name in ("base.safetensors", "cars.safetensors", "digits.safetensors", "factors", "job.yaml"):
                subprocess.run(["cp", "--recursive", self.debian.home / name, directory], check=True)
            command = [self.binaries / "kfacctl", "run", "job.yaml"]
            subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=300)
            model = "out/merged/model.safetensors"
            assert digest(Path(directory, model)) == digest(self.debian.home / model), f"{model} differs."

    def processes(self) -> str:
        """What pip installed is the program itself: its name, its exit codes, its answer to SIGTERM."""
        script = (
            "environment/bin/kfacd coordinator --bind ipc:///tmp/coordinator --http off --state-directory state "
            ">/dev/null & "
            "until [ -S /tmp/coordinator ]; do sleep 0.1; done; "
            'readlink "/proc/$!/exe"; kill "$!"; wait "$!"; echo "$?"; '
            'environment/bin/kfacctl nonsense 2>/dev/null; echo "$?"'
        )
        said = self.debian.output("bash", "-c", script, seconds=60).splitlines()
        assert said == ["/home/user/environment/bin/kfacd", "0", "2"], said
        return self.debian.output("environment/bin/kfacctl", "--version")

    def moved(self) -> None:
        """Without its libraries a program does not start, and Python says so."""
        self.debian.run("mv", "environment/lib/kfacd", "environment/lib/moved")
        result = self.debian.run(PYTHON, "-c", "import kfacd; kfacd.plan('job.yaml')", check=False)
        self.debian.run("mv", "environment/lib/moved", "environment/lib/kfacd")
        said = "kfacd.problems.ProgramNotFoundError: /home/user/environment/bin/kfacctl does not start: "
        assert said in result.stderr, result.stderr
        assert "Install the wheel kfacd-programs again" in result.stderr, result.stderr

    def uninstall(self) -> None:
        """pip removes every file of the programs, and Python then names what is missing."""
        self.debian.run(PYTHON, "-m", "pip", "uninstall", "--quiet", "--yes", "kfacd-programs")
        assert not (self.debian.home / "environment/lib/kfacd").exists()
        assert not (self.debian.home / "environment/bin/kfacctl").exists()
        result = self.debian.run(PYTHON, "-c", "import kfacd; kfacd.plan('job.yaml')", check=False)
        assert "Install the wheel kfacd-programs of the same version" in result.stderr, result.stderr


def digest(file: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def is_older(debian: UserTree, wheel: Path) -> bool:
    """Whether the Debian's glibc is older than the wheel states."""
    stated = re.search(r"manylinux_(\d+)_(\d+)_", wheel.name)
    there = re.search(r"(\d+)\.(\d+)$", debian.output("ldd", "--version").splitlines()[0])
    return tuple(map(int, there.groups())) < tuple(map(int, stated.groups()))


def check(report: Report, debian: UserTree, wheels: list[Path], binaries: Path) -> None:
    """Every check."""
    checks = WheelChecks(debian, wheels, binaries)
    report.check("a Debian without Swift and kfacd, a user without root", checks.bare)
    if is_older(debian, wheels[1]):
        report.check("pip refuses the programs on this older glibc", checks.refused)
        return
    version = debian.output("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    wheelhouse.add_dependencies(debian.wheels, version)
    report.check("equal sources give equal wheels", checks.same_wheels)
    report.check("pip installs both wheels", checks.install)
    report.check("the programs load the wheel's libraries", checks.own_libraries)
    report.check("ten lines give a merged model", checks.first_merge)
    report.check("the same bytes as the package's programs", checks.same_bytes)
    report.check("names, exit codes and SIGTERM are the programs' own", checks.processes)
    report.check("a program without its libraries is explained", checks.moved)
    report.check("pip uninstalls all, and the absence is explained", checks.uninstall)


def main() -> int:
    """Makes the wheels and the Debian, checks and cleans up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="kfacd-wheels-", dir="/var/tmp") as directory:
        wheels = wheelhouse.build(Path(directory), options.binaries)
        os.chmod(directory, 0o755)
        binaries = options.binaries or wheelhouse.REPOSITORY / ".build/static/release"
        try:
            with UserTree(options.suite, Path(directory), options.keep) as debian:
                report = Report(print)
                check(report, debian, wheels, binaries.resolve())
        except debian_tree.Unavailable as reason:
            print(f"SKIPPED Tests/Wheels: {reason}")
            return SKIPPED
    print(f"\n{report.table()}")
    return 1 if report.has_failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
