"""From a PyTorch model to a merged one, and back into training."""

from kfacd import caches
from kfacd.errors import KfacdError
from kfacd.job import Coordinator, JobStatus, Plan, PlanStage, cancel, fetch, jobs, plan, run, status, submit, watch
from kfacd.linear import Linearized, linearize
from kfacd.penalty import Penalty
from kfacd.problems import InputError, JobFailedError, JobInterruptedError, ProgramNotFoundError, UnreachableError

__all__ = [
    "Coordinator",
    "InputError",
    "JobFailedError",
    "JobInterruptedError",
    "JobStatus",
    "KfacdError",
    "Linearized",
    "Penalty",
    "Plan",
    "PlanStage",
    "ProgramNotFoundError",
    "UnreachableError",
    "caches",
    "cancel",
    "fetch",
    "jobs",
    "linearize",
    "plan",
    "run",
    "status",
    "submit",
    "watch",
]
