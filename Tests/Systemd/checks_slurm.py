"""The batch script, under a real Slurm of one node."""

import shutil
from pathlib import Path

import jobs
from booted_debian import BootedDebian, wait_until

PACKAGES = ("munge", "slurm-client", "slurmctld", "slurmd")
SCRIPT = Path(__file__).resolve().parents[2] / "Deploy/slurm/kfacd.sbatch"
HOME = "/srv/anna"
CONFIGURATION = """
ClusterName=kfacd
SlurmctldHost=kfacd-test
SlurmUser=slurm
AuthType=auth/munge
# A requeued job waits for its old credentials to run out: two minutes, unless told otherwise.
AuthInfo=cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
NodeName=kfacd-test CPUs=2 RealMemory=1024 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# Nothing here needs control groups. With version 2 slurmd refuses to start if the kernel offers both versions.
CONTROL_GROUPS = "CgroupPlugin=cgroup/v1\n"


class SlurmChecks:
    """Checks of Deploy/slurm/kfacd.sbatch."""

    def __init__(self, debian: BootedDebian):
        self.debian = debian

    def start(self) -> str:
        """Starts a controller and an idle node."""
        self.debian.write("/etc/slurm/slurm.conf", CONFIGURATION)
        self.debian.write("/etc/slurm/cgroup.conf", CONTROL_GROUPS)
        for directory in ("slurmctld", "slurmd"):
            self.debian.run("install", "-d", "-o", "slurm", "-m", "755", f"/var/lib/slurm/{directory}")
        # Slurm resolves names with AI_ADDRCONFIG, which finds no address while 127.0.0.1 is the only one.
        self.debian.run("ip", "address", "add", "10.99.0.1/32", "dev", "lo", only_network=True)
        self.debian.run("systemctl", "restart", "munge", "slurmctld", "slurmd")
        wait_until("the node is idle", lambda: "idle" in self.debian.output("sinfo", "-h", "-o", "%T"), 60)
        self.debian.run("useradd", "--create-home", "--home-dir", HOME, "anna")
        shutil.copy(SCRIPT, self.debian.path(HOME))
        jobs.copy_example(self.debian.path(f"{HOME}/small"))
        jobs.write_long_job(self.debian.path(f"{HOME}/long"))
        for name in ("small", "long"):
            output = f"/var/tmp/reference/{name}"
            self.debian.run("kfacctl", "run", f"{HOME}/{name}/job.yaml", "--workers", "2", "--output", output)
        self.debian.run("chown", "-R", "anna:anna", HOME)
        return self.debian.output("sinfo", "--version")

    def submit(self, name: str) -> str:
        """Submits a job as a user, and returns its number."""
        command = ["runuser", "--user", "anna", "--", "sbatch", "--parsable", f"--chdir={HOME}", "--mem=0"]
        return self.debian.output(*command, f"{HOME}/kfacd.sbatch", f"{HOME}/{name}/job.yaml")

    def state(self, number: str) -> str:
        """The job's state, such as RUNNING."""
        text = self.debian.output("scontrol", "show", "job", number, "--oneliner", check=False)
        return next((word.removeprefix("JobState=") for word in text.split() if word.startswith("JobState=")), "")

    def log(self, number: str) -> str:
        """The job's output."""
        file = self.debian.path(f"{HOME}/kfacd-{number}.log")
        return file.read_text(errors="replace") if file.exists() else ""

    def wait_for_end(self, number: str) -> None:
        """Waits until the job has ended; it must have succeeded."""
        over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        wait_until(f"the end of job {number}", lambda: self.state(number) in over, 240)
        state = self.state(number)
        assert state == "COMPLETED", f"job {number}: {state}\n{self.log(number)}"

    def require_same(self, name: str) -> str:
        """The outputs are those of the undisturbed run."""
        return jobs.require_same(self.debian.path(f"{HOME}/{name}/out"), self.debian.path(f"/var/tmp/reference/{name}"))

    def example(self) -> str:
        """A job from the queue to its outputs; no process is left."""
        number = self.submit("small")
        self.wait_for_end(number)
        left = self.debian.run("pgrep", "-u", "anna", check=False).stdout
        assert not left, f"processes of the job are left: {left}"
        return self.require_same("small")

    def preemption(self) -> str:
        """SIGTERM, as before the time limit: the job drains, is requeued, continues, and writes the same bytes."""
        number = self.submit("long")
        wait_until("the job has begun", lambda: "unit" in self.log(number) or "%" in self.log(number), 60)
        self.debian.run("scancel", "--batch", "--signal=TERM", number)
        wait_until("the drain", lambda: "workers drain" in self.log(number), 30)
        wait_until("the requeue", lambda: self.state(number) in ("PENDING", "REQUEUED", "CONFIGURING"), 60)
        self.wait_for_end(number)
        assert "job resumed" in self.log(number), f"the job began anew:\n{self.log(number)}"
        return self.require_same("long")
