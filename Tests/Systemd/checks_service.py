"""The services: started, killed, stopped, reloaded, stalled and misconfigured, with the bytes of their jobs."""

import jobs
from booted_debian import wait_until
from services import COORDINATOR, SERVICES, WORKERS, Services

SHARE = "/srv/kfacd"
CONFIGURATION = "/etc/kfacd/coordinator.yaml"
# systemd's word for exit status 2.
BAD_CONFIGURATION = "2"


class ServiceChecks:
    """Checks of running services."""

    def __init__(self, services: Services):
        self.services = services
        self.debian = services.debian

    # Starting

    def start(self) -> str:
        """As in the operator's guide: a directory for jobs, then the target."""
        self.debian.run("install", "-d", "-o", "kfacd", "-g", "kfacd", "-m", "2775", SHARE)
        self.services.systemctl("enable", "--quiet", "kfacd.target", *SERVICES)
        self.services.systemctl("start", "kfacd.target")
        for service in SERVICES:
            assert self.services.state(service) == "active", f"{service} is not active."
        self.services.wait_for_workers()
        wait_until("a status line", lambda: "worker" in self.services.shown(COORDINATOR, "StatusText"), 30)
        return f'"{self.services.shown(COORDINATOR, "StatusText")}"'

    def sandbox(self) -> None:
        """The running processes have the properties that the units set."""
        for service in SERVICES:
            process = self.services.main_process(service)
            text = self.debian.output("cat", f"/proc/{process}/status")
            fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
            assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2", f"{service}: no sandbox\n{text}"
            assert int(fields["CapEff"], 16) == 0 and int(fields["CapBnd"], 16) == 0, f"{service} has capabilities."
            user = self.debian.output("id", "-u", "kfacd")
            assert fields["Uid"].split() == [user] * 4, f"{service} runs as {fields['Uid']}"
            assert "SIGSYS" not in self.services.messages(service), f"{service} was killed by the call filter."

    def log_priorities(self) -> str:
        """Log lines keep their priority: a daemon's notice is a notice for journald."""
        entries = [entry for entry in self.services.journal(COORDINATOR) if entry.get("_COMM") == "kfacd"]
        listening = next(entry for entry in entries if str(entry["MESSAGE"]).startswith("listening"))
        assert listening["PRIORITY"] == "5", listening
        loud = [entry["MESSAGE"] for entry in entries if int(entry["PRIORITY"]) <= 4]
        assert not loud, f"a plain start warns: {loud}"
        return f"{len(entries)} lines"

    def pages(self) -> str:
        """Health, readiness, version and metrics over HTTP, on loopback."""
        for page in ("healthz", "readyz", "version"):
            status, text = self.debian.get(f"http://127.0.0.1:7780/{page}")
            assert status == 200, f"/{page}: {status} {text}"
        status, text = self.debian.get("http://127.0.0.1:7780/metrics")
        assert status == 200 and "kfacd_build_info" in text, text
        assert "kfacd_workers" in text, text
        return f"{sum(not line.startswith('#') for line in text.splitlines())} samples"

    # Jobs

    def make_references(self) -> str:
        """Both jobs, undisturbed, by `kfacctl run` and without any service."""
        jobs.copy_example(self.debian.path(f"{SHARE}/small"))
        jobs.write_long_job(self.debian.path(f"{SHARE}/long"))
        for name in ("small", "long"):
            output = f"/var/tmp/reference/{name}"
            self.debian.run("kfacctl", "run", f"{SHARE}/{name}/job.yaml", "--workers", "2", "--output", output)
        # The coordinator writes beside the job files.
        self.debian.run("chown", "-R", "kfacd:kfacd", SHARE)
        return ""

    def require_same(self, name: str) -> str:
        """The outputs of a job are those of the undisturbed run."""
        outputs = self.debian.path(f"{SHARE}/{name}/out")
        return jobs.require_same(outputs, self.debian.path(f"/var/tmp/reference/{name}"))

    def example(self) -> str:
        """The bundled example."""
        self.services.kfacctl("submit", f"{SHARE}/small/job.yaml", "--watch", "--overwrite")
        return self.require_same("small")

    def forget(self) -> None:
        """Starts with empty directories, because a known job would not be computed again."""
        self.services.stop_all()
        self.debian.run("find", "/var/lib/kfacd", "/var/cache/kfacd", "-mindepth", "1", "-delete")
        self.services.systemctl("start", "kfacd.target")
        self.services.wait_for_workers()

    # Failures

    def kills(self) -> str:
        """SIGKILL for a worker, the coordinator and the other worker while a job runs."""
        self.forget()
        job = self.services.submit(f"{SHARE}/long/job.yaml")
        since = self.services.cursor()
        processes = {}
        for number, service in enumerate((WORKERS[0], COORDINATOR, WORKERS[1]), start=1):
            self.services.wait_for_units(job, 3 * number)
            processes[service] = self.services.kill(service, "SIGKILL")
        for service, process in processes.items():
            self.services.wait_for_restart(service, process)
            self.services.wait_for_message(service, "Main process exited, code=killed, status=9/KILL", since)
            assert self.services.shown(service, "NRestarts") == "1", f"{service} was started again more than once."
        self.services.wait_for_end(job)
        return self.require_same("long")

    def stop_and_start(self) -> str:
        """`systemctl stop` drains: the services end without failures, and the job continues after a start."""
        self.forget()
        job = self.services.submit(f"{SHARE}/long/job.yaml")
        before = self.services.wait_for_units(job, 4)
        self.services.stop_all()
        for service in SERVICES:
            assert self.services.shown(service, "Result") == "success", f"{service} did not end well."
            assert self.services.shown(service, "ExecMainStatus") == "0", f"{service} did not exit with 0."
        self.services.systemctl("start", "kfacd.target")
        after = wait_until("the job is known again", lambda: self.services.job(job))["finished_units"]
        assert after >= before, f"{before} units were finished before the stop, {after} after the start."
        self.services.wait_for_end(job)
        return f"{self.require_same('long')}; {after} units kept"

    def restart(self) -> None:
        """`systemctl restart` of one service does not restart the others."""
        others = {service: self.services.main_process(service) for service in WORKERS}
        process = self.services.main_process(COORDINATOR)
        self.services.systemctl("restart", COORDINATOR)
        self.services.wait_for_restart(COORDINATOR, process)
        self.services.wait_for_workers()
        assert others == {service: self.services.main_process(service) for service in WORKERS}

    def reload(self) -> None:
        """`systemctl reload` sends SIGHUP: the same process reads its configuration again and logs that."""
        for service in (COORDINATOR, WORKERS[0]):
            process = self.services.main_process(service)
            since = self.services.cursor()
            self.services.systemctl("reload", service)
            self.services.wait_for_message(service, "(?i)configuration", since)
            assert self.services.main_process(service) == process
            self.services.wait_for(service, "active")

    def watchdog(self) -> str:
        """systemd ends a process that hangs, and starts it again."""
        for service in (COORDINATOR, WORKERS[0]):
            self.services.drop_in(service, "[Service]\nWatchdogSec=3\nTimeoutAbortSec=5\n")
            self.services.systemctl("restart", service)
            since = self.services.cursor()
            process = self.services.kill(service, "SIGSTOP")
            self.services.wait_for_message(service, "Watchdog timeout", since)
            self.services.wait_for_message(service, "Failed with result 'watchdog'", since)
            self.services.wait_for_restart(service, process)
        # The service sends its signs of life often enough for the short timeout too.
        self.services.wait_for_workers()
        restarts = {service: self.services.shown(service, "NRestarts") for service in (COORDINATOR, WORKERS[0])}
        self.services.kfacctl("submit", f"{SHARE}/small/job.yaml", "--watch", "--overwrite")
        note = self.require_same("small")
        for service, count in restarts.items():
            assert self.services.shown(service, "NRestarts") == count, f"the watchdog bit {service} at its work."
            self.services.drop_in(service, None)
            self.services.systemctl("restart", service)
        self.services.wait_for_workers()
        return note

    def bad_configuration(self) -> str:
        """A bad configuration ends a service once, with a message, and not in a loop."""
        file = self.debian.path(CONFIGURATION)
        good = file.read_text()
        since = self.services.cursor()
        try:
            file.write_text(good + "\nbind: nowhere\n")
            result = self.services.systemctl("restart", COORDINATOR, check=False)
            assert result.returncode != 0, "a coordinator with a bad configuration starts."
            self.services.wait_for(COORDINATOR, "failed")
            assert self.services.shown(COORDINATOR, "ExecMainStatus") == BAD_CONFIGURATION
            assert self.services.shown(COORDINATOR, "NRestarts") == "0", "it is started again and again."
            sentence = self.services.wait_for_message(COORDINATOR, ".*nowhere.*", since)
            entries = self.services.journal(COORDINATOR, since)
            told = [entry["PRIORITY"] for entry in entries if "nowhere" in f"{entry.get('MESSAGE')}"]
            assert set(told) == {"3"}, f"not an error to journald, but of priority {told}."
        finally:
            file.write_text(good)
        self.services.systemctl("reset-failed", COORDINATOR)
        self.services.systemctl("start", "kfacd.target")
        self.services.wait_for_workers()
        return sentence
