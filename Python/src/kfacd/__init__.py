"""From a PyTorch model to a merged one, and back into training."""

from . import caches
from .checkpoints import sha256_base
from .codebook import Codebook, make_codebook
from .collect import collect
from .collection import Collection
from .drawn_penalty import DrawnPenalty
from .errors import (
    BaseMismatchError,
    DropoutWarning,
    GraphError,
    KfacdError,
    MemoryLimitError,
    NonFiniteError,
    OptionError,
    SelectionError,
    ShapeError,
    UnusedLayerError,
)
from .job import Coordinator, JobStatus, Plan, PlanStage, cancel, fetch, jobs, plan, run, status, submit, watch
from .joint_accumulation import accumulate_joint_rows
from .linear import Linearized, linearize
from .mixture import InputMixture
from .penalty import Penalty
from .problems import (
    BusyError,
    InputError,
    JobFailedError,
    JobInterruptedError,
    MissingExtraError,
    NotPermittedError,
    ProgramNotFoundError,
    RefusedError,
    StreamEndedError,
    UnreachableError,
    WireVersionError,
)

__all__ = [
    "BaseMismatchError",
    "BusyError",
    "Codebook",
    "Collection",
    "Coordinator",
    "DrawnPenalty",
    "DropoutWarning",
    "GraphError",
    "InputError",
    "InputMixture",
    "JobFailedError",
    "JobInterruptedError",
    "JobStatus",
    "KfacdError",
    "Linearized",
    "MemoryLimitError",
    "MissingExtraError",
    "NonFiniteError",
    "NotPermittedError",
    "OptionError",
    "Penalty",
    "Plan",
    "PlanStage",
    "ProgramNotFoundError",
    "RefusedError",
    "SelectionError",
    "ShapeError",
    "StreamEndedError",
    "UnreachableError",
    "UnusedLayerError",
    "WireVersionError",
    "accumulate_joint_rows",
    "caches",
    "cancel",
    "collect",
    "fetch",
    "jobs",
    "linearize",
    "make_codebook",
    "plan",
    "run",
    "sha256_base",
    "status",
    "submit",
    "watch",
]
