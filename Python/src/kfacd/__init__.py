"""Collects K-FAC curvature of PyTorch models for kfacd, which merges fine-tuned models with it."""

from .checkpoints import sha256_base
from .collect import collect
from .collection import Collection
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

__all__ = [
    "BaseMismatchError",
    "Collection",
    "DropoutWarning",
    "GraphError",
    "KfacdError",
    "MemoryLimitError",
    "NonFiniteError",
    "OptionError",
    "SelectionError",
    "ShapeError",
    "UnusedLayerError",
    "collect",
    "sha256_base",
]
