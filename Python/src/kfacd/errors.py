"""What can go wrong, by what the reader must change."""

from __future__ import annotations

from collections.abc import Iterable


class KfacdError(Exception):
    """Any error of this package."""


class SelectionError(KfacdError, ValueError):
    """A pattern matches nothing, or selects a module whose curvature cannot be collected."""


class OptionError(KfacdError, ValueError):
    """An option has a value that is not offered, or options contradict each other."""


class ShapeError(KfacdError, ValueError):
    """A mask, an output or a layer's rows have another shape than the step needs."""


class GraphError(KfacdError, RuntimeError):
    """Gradients cannot flow from the output to the layers."""


class UnusedLayerError(KfacdError, RuntimeError):
    """A chosen layer never ran, or the output does not depend on it."""


class NonFiniteError(KfacdError, ArithmeticError):
    """Rows or their products are NaN or infinite."""


class MemoryLimitError(KfacdError, MemoryError):
    """The sums of the chosen layers do not fit the limit."""


class BaseMismatchError(KfacdError, ValueError):
    """The model is not the base checkpoint, or the digest is none."""


class DropoutWarning(UserWarning):
    """The model is in training mode, so its outputs are random or depend on the batch."""


def listed(names: Iterable[str], shown: int = 5) -> str:
    """Names in quotes; after the first few only their number."""
    quoted = [f'"{name}"' for name in names]
    rest = len(quoted) - shown
    return ", ".join(quoted[:shown]) + (f" and {rest} more" if rest > 0 else "")
