"""Keys: an endpoint that other machines reach is refused without keys, and works with keys as credentials."""

import jobs
from booted_debian import wait_until
from checks_service import BAD_CONFIGURATION, SHARE
from services import COORDINATOR, SERVICES, WORKERS, Services

KEYS = "/etc/kfacd/keys"
AUTHORIZED = "/etc/kfacd/authorized"
# A host name counts as reachable from elsewhere, even this machine's own name.
ADDRESS = "tcp://kfacd-test:7733"


class KeyChecks:
    """Checks of a cluster whose coordinator other machines reach."""

    def __init__(self, services: Services):
        self.services = services
        self.debian = services.debian
        self.files = {
            name: self.debian.path(f"/etc/kfacd/{name}.yaml") for name in ("coordinator", "worker")
        }  # fmt: skip
        self.originals = {}

    def remember(self) -> None:
        """Keeps the configuration as it was."""
        self.originals = {name: file.read_text() for name, file in self.files.items()}

    def add(self, name: str, text: str) -> None:
        """Adds to a configuration file."""
        self.files[name].write_text(self.originals[name] + text)

    def refusal(self) -> str:
        """Without keys the coordinator does not listen where other machines reach it, and says what to do."""
        self.remember()
        self.add("coordinator", "\nbind: tcp://0.0.0.0:7733\n")
        since = self.services.cursor()
        result = self.services.systemctl("restart", COORDINATOR, check=False)
        assert result.returncode != 0, "an endpoint for all the world is opened without keys."
        assert self.services.shown(COORDINATOR, "ExecMainStatus") == BAD_CONFIGURATION
        assert self.services.shown(COORDINATOR, "NRestarts") == "0"
        self.services.wait_for_message(COORDINATOR, "kfacctl keygen", since)
        self.services.systemctl("reset-failed", COORDINATOR)
        return self.services.wait_for_message(COORDINATOR, r"missing: [^.]*", since)

    def protected_run(self) -> str:
        """Keys as in the operator's guide: systemd passes them on, a job runs, and unknown keys are refused."""
        for name, roles in (("coordinator", ()), ("worker", ("worker",)), ("anna", ("submitter",)), ("stranger", ())):
            options = [word for role in roles for word in ("--role", role)]
            self.debian.run("kfacctl", "keygen", name, "--directory", KEYS, *options)
        for name in ("worker", "anna"):
            self.debian.run("cp", f"{KEYS}/{name}.public", AUTHORIZED)
        self.add("coordinator", f"\nbind: tcp://0.0.0.0:7733\nroot: [{SHARE}]\nauthorized-keys: {AUTHORIZED}\n")
        server = f"{KEYS}/coordinator.public"
        self.add("worker", f"\ncoordinator: {ADDRESS}\nserver-key: {server}\nroot: [{SHARE}]\n")
        self.services.stop_all()
        self.services.systemctl("start", "kfacd.target")
        self.services.connection = ("--coordinator", ADDRESS, "--server-key", server)
        self.services.connection += ("--secret-key", f"{KEYS}/anna.secret")
        self.services.wait_for_workers()
        for service in SERVICES:
            mode = self.debian.output("stat", "-c", "%a", f"/run/credentials/{service}/curve.secret")
            assert mode in ("400", "440"), f"the credential of {service} has mode {mode}."
        self.services.kfacctl("submit", f"{SHARE}/small/job.yaml", "--watch", "--overwrite")
        note = jobs.require_same(
            self.debian.path(f"{SHARE}/small/out"), self.debian.path("/var/tmp/reference/small")
        )  # fmt: skip
        stranger = ("--server-key", server, "--secret-key", f"{KEYS}/stranger.secret", "--timeout", "3")
        for options in (stranger, ()):
            result = self.debian.run("kfacctl", "jobs", "--coordinator", ADDRESS, *options, check=False)
            assert result.returncode in (2, 3), f"a stranger is let in: {result.returncode} {result.stdout}"
        return note

    def revocation(self) -> None:
        """A worker's removed key is refused after a reload, and accepted again when it is back."""
        public = self.debian.path(f"{AUTHORIZED}/worker.public")
        text = public.read_text()
        public.unlink()
        self.services.systemctl("reload", COORDINATOR)
        wait_until("the workers are gone", lambda: self.services.worker_count() == 0, 60)
        public.write_text(text)
        self.services.systemctl("reload", COORDINATOR)
        for service in WORKERS:
            self.services.systemctl("restart", "--no-block", service)
        self.services.wait_for_workers()

    def back_to_loopback(self) -> None:
        """The old configuration works again, although the key files are still there."""
        for name, text in self.originals.items():
            self.files[name].write_text(text)
        self.services.connection = ()
        self.services.stop_all()
        self.services.systemctl("start", "kfacd.target")
        self.services.wait_for_workers()
