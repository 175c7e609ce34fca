"""Which positions of a batch are no padding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from . import patterns
from .calls import Call
from .errors import ShapeError

Mask = Tensor | Mapping[str, Tensor]


class Masks:
    """The masks of a step, as truths on the output's device."""

    def __init__(self, mask: Mask | None, size: int, device: torch.device) -> None:
        """Reads the mask of a step.

        Raises:
            ShapeError: It is not of this batch.
        """
        given: Mapping[str, Tensor] = {} if mask is None else {"*": mask} if isinstance(mask, Tensor) else mask
        for pattern, each in given.items():
            if each.dim() != 2 or each.shape[0] != size:
                raise ShapeError(
                    f"mask{'' if pattern == '*' else f' of {pattern}'} has the shape {list(each.shape)}; expected "
                    f"[{size}, positions], as the output has {size} samples."
                )
        self._masks = {pattern: each.to(device=device).bool() for pattern, each in given.items()}
        self._by_path: dict[str, Tensor | None] = {}

    def of_call(self, call: Call) -> Tensor | None:
        """The mask of a call's rows, if there is one."""
        if call.path not in self._by_path:
            pattern = patterns.last_match(self._masks, call.path)
            self._by_path[call.path] = None if pattern is None else self._masks[pattern]
        found = self._by_path[call.path]
        if found is not None and found.device != call.input.device:
            # Kept, because equal rows are recognised by the identity of their mask.
            self._by_path[call.path] = found = found.to(call.input.device)
        return found

    def of_output(self) -> Tensor | None:
        """The mask for positions of the output: the last one, of the modules that make it."""
        return next(reversed(self._masks.values()), None)
