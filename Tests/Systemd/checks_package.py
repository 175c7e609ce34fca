"""The package: it installs, upgrades and purges cleanly."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from services import COORDINATOR, SERVICES, WORKERS, Services

TEMPLATE = "kfacd-worker@.service"
SCORE_LIMIT = 2.0


class PackageChecks:
    """Checks of installation and removal."""

    def __init__(self, services: Services, package: Path):
        self.services = services
        self.debian = services.debian
        self.package = package

    def install(self) -> str:
        """The package installs, and starts nothing without an order."""
        shutil.copy(self.package, self.debian.path("/var/tmp/kfacd.deb"))
        self.apt("install", "/var/tmp/kfacd.deb")
        for service in (COORDINATOR, *WORKERS):
            assert self.services.state(service) == "inactive", f"{service} runs right after the installation."
        assert self.debian.output("id", "-gn", "kfacd") == "kfacd"
        assert self.debian.output("stat", "-c", "%a %U", "/etc/kfacd/keys") == "755 root"
        for program in ("kfacd", "kfacctl"):
            self.debian.run(program, "--version")
        return self.debian.output("kfacd", "--version")

    def verify_units(self) -> None:
        """systemd understands every line of the units."""
        units = [COORDINATOR, TEMPLATE, "kfacd.target"]
        result = self.debian.run("systemd-analyze", "verify", "--man=no", *units)
        said = (result.stdout + result.stderr).strip()
        assert not said, f"systemd-analyze verify says:\n{said}"
        dry = self.debian.output("systemd-tmpfiles", "--create", "kfacd.conf")
        assert not dry, dry

    def score(self, unit: str, *, offline: bool) -> float:
        """The score of a unit by `systemd-analyze security`; 0 is the best."""
        place = ["--offline=true", f"/usr/lib/systemd/system/{unit}"] if offline else [unit]
        text = self.debian.output("systemd-analyze", "security", "--no-pager", *place, check=False)
        line = next(line for line in text.splitlines() if "Overall exposure level" in line)
        return float(line.split(":")[1].split()[0])

    def scores(self, units: tuple[str, str], *, offline: bool) -> str:
        """The scores of both services are below the limit."""
        scores = {unit: self.score(unit, offline=offline) for unit in units}
        for unit, score in scores.items():
            assert score < SCORE_LIMIT, f"{unit} has the score {score}; expected less than {SCORE_LIMIT}."
        return ", ".join(f"{unit} {score}" for unit, score in scores.items())

    def offline_scores(self) -> str:
        """The scores of the unit files."""
        return self.scores((COORDINATOR, TEMPLATE), offline=True)

    def live_scores(self) -> str:
        """The scores of the running services, with every drop-in."""
        return self.scores((COORDINATOR, WORKERS[0]), offline=False)

    def newer_package(self) -> Path:
        """The same package with a higher version."""
        with tempfile.TemporaryDirectory() as directory:
            tree = Path(directory) / "tree"
            subprocess.run(["dpkg-deb", "--raw-extract", self.package, tree], check=True)
            control = tree / "DEBIAN/control"
            lines = control.read_text().splitlines(keepends=True)
            lines = [line.rstrip() + "+upgrade\n" if line.startswith("Version:") else line for line in lines]
            control.write_text("".join(lines))
            file = self.debian.path("/var/tmp/kfacd-newer.deb")
            command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, file]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return file

    def upgrade(self) -> str:
        """Running services restart, stopped ones stay stopped, and the operator's configuration stays."""
        self.newer_package()
        configuration = self.debian.path("/etc/kfacd/worker.yaml")
        configuration.write_text(configuration.read_text() + "\npatience: 50\n")
        self.services.systemctl("stop", WORKERS[1])
        old = {service: self.services.main_process(service) for service in SERVICES}
        self.apt("install", "/var/tmp/kfacd-newer.deb")
        for service in (COORDINATOR, WORKERS[0]):
            self.services.wait_for_restart(service, old[service])
        assert self.services.state(WORKERS[1]) == "inactive"
        assert "patience: 50" in configuration.read_text()
        self.services.wait_for_workers(1)
        return self.debian.output("dpkg-query", "--show", "--showformat=${Version}", "kfacd")

    def purge(self) -> None:
        """Only the user is left of the package, because the user may own files elsewhere."""
        files = self.debian.output("dpkg-query", "--listfiles", "kfacd").splitlines()
        self.apt("purge", "kfacd")
        for service in SERVICES:
            assert self.services.state(service) == "inactive", f"{service} is left."
        # Other packages own the directories too, and the keys are the operator's.
        left = [file for file in files if self.debian.path(file).exists() and not self.debian.path(file).is_dir()]
        left += [path for path in ("/var/lib/kfacd", "/var/cache/kfacd") if self.debian.path(path).exists()]
        assert not left, f"purging left {', '.join(left)}"
        failed = self.debian.output("systemctl", "--failed", "--plain", "--no-legend")
        assert not failed, f"failed units are left:\n{failed}"
        links = [str(path) for path in self.debian.path("/etc/systemd/system").rglob("*.wants/kfacd*")]
        assert not links, f"purging left {', '.join(links)}"

    def apt(self, verb: str, name: str) -> None:
        """Installs or purges, without a network."""
        output = self.debian.output(
            "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", verb, "--yes", "--option", "Dpkg::Use-Pty=0", name
        )
        for line in output.splitlines():
            assert not line.startswith(("dpkg: warning", "dpkg: error")), output
