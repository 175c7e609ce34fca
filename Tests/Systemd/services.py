"""kfacd's services in a booted Debian: their states, their journal, their jobs."""

import json
import re

from booted_debian import BootedDebian, wait_until

COORDINATOR = "kfacd-coordinator.service"
WORKERS = ("kfacd-worker@1.service", "kfacd-worker@2.service")
SERVICES = (COORDINATOR, *WORKERS)


class Services:
    """The queries and commands of the checks."""

    def __init__(self, debian: BootedDebian):
        self.debian = debian
        # Options of kfacctl for every command, such as keys.
        self.connection: tuple[str, ...] = ()

    # systemd

    def systemctl(self, *arguments: str, check: bool = True, seconds: float = 300):
        """Runs systemctl."""
        return self.debian.run("systemctl", *arguments, check=check, seconds=seconds)

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.debian.output("systemctl", "show", "--property", name, "--value", unit)

    def main_process(self, unit: str) -> int:
        """The main process of a service, by its number in the Debian."""
        return int(self.shown(unit, "MainPID"))

    def state(self, unit: str) -> str:
        """`active`, `failed`, …"""
        return self.shown(unit, "ActiveState")

    def wait_for(self, unit: str, state: str, seconds: float = 60) -> None:
        """Waits for a state."""
        wait_until(f"{unit} is {state}", lambda: self.state(unit) == state, seconds)

    def stop_all(self) -> None:
        """Stops the target and waits for its services; `systemctl stop` of a target does not wait."""
        self.systemctl("stop", "kfacd.target")
        for service in SERVICES:
            self.wait_for(service, "inactive", 150)

    def kill(self, unit: str, name: str) -> int:
        """Sends a signal to a service's main process only, and returns the process's number."""
        process = self.main_process(unit)
        self.systemctl("kill", "--kill-whom=main", f"--signal={name}", unit)
        return process

    def wait_for_restart(self, unit: str, old_process: int, seconds: float = 60) -> None:
        """Waits until a service is active again with another process."""
        wait_until(
            f"{unit} runs again",
            lambda: self.state(unit) == "active" and self.main_process(unit) not in (0, old_process),
            seconds,
        )

    def drop_in(self, unit: str, text: str | None) -> None:
        """Adds a drop-in of the test to a unit, or removes it."""
        file = f"/etc/systemd/system/{unit}.d/test.conf"
        if text is None:
            self.debian.path(file).unlink(missing_ok=True)
        else:
            self.debian.write(file, text)
        self.systemctl("daemon-reload")

    # The journal

    def cursor(self) -> str:
        """The current end of the journal."""
        text = self.debian.output("journalctl", "--show-cursor", "--lines=0", "--quiet")
        return text.removeprefix("-- cursor: ")

    def journal(self, unit: str, since: str | None = None) -> list[dict]:
        """The entries of a unit's own processes and of systemd about it."""
        place = [f"--after-cursor={since}"] if since else []
        text = self.debian.output("journalctl", "--unit", unit, "--output=json", "--no-pager", *place)
        return [json.loads(line) for line in text.splitlines()]

    def messages(self, unit: str, since: str | None = None) -> str:
        """The texts of the journal, one on each line."""
        return "\n".join(f"{entry.get('MESSAGE')}" for entry in self.journal(unit, since))

    def wait_for_message(self, unit: str, pattern: str, since: str) -> str:
        """Waits for a line of the journal."""
        found = wait_until(
            f'a line of {unit} like "{pattern}"',
            lambda: re.search(pattern, self.messages(unit, since), re.MULTILINE),
        )
        return found.group()

    # Jobs

    def kfacctl(self, *arguments: str, check: bool = True, seconds: float = 300):
        """Runs kfacctl against the coordinator."""
        return self.debian.run("kfacctl", *arguments, *self.connection, check=check, seconds=seconds)

    def submit(self, job_file: str) -> str:
        """Submits a job, and returns its name."""
        return self.kfacctl("submit", job_file, "--overwrite").stdout.split()[0]

    def job(self, name: str) -> dict:
        """The progress of a job; nothing while no coordinator answers."""
        result = self.kfacctl("status", name, "--output", "json", "--timeout", "5", check=False)
        return json.loads(result.stdout)["jobs"][0] if result.returncode == 0 else {}

    def wait_for_units(self, job: str, count: int) -> int:
        """Waits until a job has finished some units, and fails when the job ends first."""

        def finished() -> int | None:
            status = self.job(job)
            if status and status["state"] != "running":
                raise AssertionError(f"job {job} was over ({status['state']}) before it could be disturbed.")
            units = status.get("finished_units", 0)
            return units if units >= count else None

        return wait_until(f"{count} units of {job}", finished, 120)

    def wait_for_end(self, job: str) -> None:
        """Waits until a job has ended, even without a coordinator meanwhile; it must have succeeded."""
        status = wait_until(f"the end of {job}", lambda: self.ended(job), 300)
        assert status["state"] == "succeeded", f"job {job}: {status['state']}: {status['message']}"

    def ended(self, job: str) -> dict | None:
        """A job's last status after its end."""
        status = self.job(job)
        return status if status and status["state"] != "running" else None

    def worker_count(self) -> int:
        """The number of workers that the coordinator knows; 0 while no coordinator answers."""
        result = self.kfacctl("workers", "--output", "json", "--timeout", "5", check=False)
        return len(json.loads(result.stdout)["workers"]) if result.returncode == 0 else 0

    def wait_for_workers(self, count: int = len(WORKERS)) -> None:
        """Waits until exactly this number of workers is connected."""
        wait_until(f"{count} workers", lambda: self.worker_count() == count, 90)
