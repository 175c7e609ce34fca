"""From a PyTorch model to a merged one, and back into training."""

from kfacd import caches
from kfacd.errors import BadInput, Interrupted, JobFailed, KfacdError, ProgramNotFound, Unreachable
from kfacd.job import Coordinator, JobStatus, Plan, PlanStage, cancel, fetch, jobs, plan, run, status, submit, watch
from kfacd.linear import Linearized, linearize
from kfacd.penalty import Penalty

__all__ = [
    "BadInput",
    "Coordinator",
    "Interrupted",
    "JobFailed",
    "JobStatus",
    "KfacdError",
    "Linearized",
    "Penalty",
    "Plan",
    "PlanStage",
    "ProgramNotFound",
    "Unreachable",
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
