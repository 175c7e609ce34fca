"""The whole test, see run: boots a Debian, installs the package, and runs every check in turn."""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import checks_slurm
from booted_debian import BootedDebian
from checks_keys import KeyChecks
from checks_package import PackageChecks
from checks_service import ServiceChecks
from debian_tree import Unavailable
from report import Report
from services import SERVICES, Services

SKIPPED = 77
REPOSITORY = Path(__file__).resolve().parents[2]


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description="Checks kfacd's package and services on a real systemd.")
    parser.add_argument("--deb", type=Path, help="the package to test")
    parser.add_argument("--binaries", type=Path, help="make the package from programs that are built already")
    parser.add_argument("--slurm", action="store_true", help="check the batch script under Slurm instead")
    parser.add_argument("--keep", action="store_true", help="leave the tree of the Debian for a look")
    return parser.parse_args()


def package(options: argparse.Namespace) -> Path:
    """The package to test; it is made if none is given."""
    if options.deb:
        return options.deb.resolve(strict=True)
    command = [str(REPOSITORY / "Deploy/debian/build")]
    if options.binaries:
        command += ["--binaries", str(options.binaries)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return Path(result.stdout.splitlines()[-1])


def check_services(report: Report, debian: BootedDebian, deb: Path) -> None:
    """Every check of the package and its services, each building on those before."""
    services = Services(debian)
    packaged, running, keys = PackageChecks(services, deb), ServiceChecks(services), KeyChecks(services)
    report.check("install: user, directories, nothing started", packaged.install)
    report.check("units: systemd-analyze verify is silent", packaged.verify_units)
    report.check("security score of the files < 2.0", packaged.offline_scores)
    report.check("undisturbed runs of both jobs, for their bytes", running.make_references)
    report.check("start: active, workers joined, status line", running.start)
    report.check("sandbox: in force for every process", running.sandbox)
    report.check("security score of the running services < 2.0", packaged.live_scores)
    report.check("journal: lines carry their priority", running.log_priorities)
    report.check("HTTP: healthz, readyz, version, metrics", running.pages)
    report.check("the example's bytes", running.example)
    report.check("SIGKILL of each service in the middle of a job", running.kills)
    report.check("stop drains, start goes on with the job", running.stop_and_start)
    report.check("restart of the coordinator alone", running.restart)
    report.check("reload by SIGHUP", running.reload)
    report.check("watchdog bites a stalled process, not a busy one", running.watchdog)
    report.check("bad configuration: exit 2, no restart loop", running.bad_configuration)
    report.check("no keys, no endpoint for other machines: exit 2", keys.refusal)
    report.check("keys as credentials: a job runs, strangers stay out", keys.protected_run)
    report.check("a key is revoked and granted again by a reload", keys.revocation)
    report.check("back to loopback", keys.back_to_loopback)
    report.check("upgrade: restarts what runs, keeps configuration", packaged.upgrade)
    report.check("purge: leaves nothing", packaged.purge)


def check_slurm(report: Report, debian: BootedDebian, deb: Path) -> None:
    """Every check of the batch script."""
    batch = checks_slurm.SlurmChecks(debian)
    report.check("install", PackageChecks(Services(debian), deb).install)
    report.check("Slurm of one node; undisturbed runs of both jobs", batch.start)
    report.check("a job from the queue to the example's bytes", batch.example)
    report.check("SIGTERM: drain, requeue, the same bytes", batch.preemption)


def show_journal(debian: BootedDebian, cause: str) -> None:
    """The details of a failed check."""
    print(cause)
    for service in (*SERVICES, "slurmctld", "slurmd"):
        text = debian.run("journalctl", "--unit", service, "--lines=40", "--no-pager", "--quiet", check=False).stdout
        if text:
            print(f"\n== the journal of {service}\n{text}")


def main() -> int:
    """Boots, checks and cleans up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = arguments()
    deb = package(options)
    print(f"Package: {deb}")
    try:
        packages = checks_slurm.PACKAGES if options.slurm else ()
        with BootedDebian(keeps_tree=options.keep, extra_packages=packages) as debian:
            version = debian.output("systemctl", "--version").splitlines()[0]
            print(f"Booted: {version}, as process 1 of its own namespaces.", flush=True)
            report = Report(lambda cause: show_journal(debian, cause))
            if options.slurm:
                check_slurm(report, debian, deb)
            else:
                check_services(report, debian, deb)
    except Unavailable as reason:
        print(f"SKIPPED Tests/Systemd: {reason}")
        return SKIPPED
    print(f"\n{report.table()}")
    return 1 if report.has_failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
