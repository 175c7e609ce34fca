"""The place of a layer's or a parameter's block in the tensors of a model.

Source: Sources/DESIGN.md, section 3: names of layers, and their addresses ``[i]``, ``[a:b]`` and ``[i][a:b]``.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

import torch

_ADDRESS = re.compile(r"^(?P<name>.+?)(?:\[(?P<index>\d+)\])?(?:\[(?P<start>\d+):(?P<end>\d+)\])?$")


@dataclass(frozen=True)
class Place:
    """A tensor's name and the part of it that a block is."""

    tensor: str
    #: Index of the first dimension, or None for the whole.
    index: int | None = None
    #: Rows from the first to before the second, or None for all.
    rows: tuple[int, int] | None = None

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The part of this tensor, as a view."""
        if self.index is not None:
            tensor = tensor[self.index]
        return tensor if self.rows is None else tensor[self.rows[0] : self.rows[1]]

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape of the part of a tensor of this shape; None if the tensor has no such part."""
        if self.index is not None:
            if len(shape) < 2 or self.index >= shape[0]:
                return None
            shape = shape[1:]
        if self.rows is None:
            return shape
        start, end = self.rows
        return (end - start, *shape[1:]) if shape and start < end <= shape[0] else None


def weight_place(layer: str, names: Container[str]) -> Place | None:
    """The weight of a layer L: ``L.weight``, ``L_weight`` or ``L`` itself, in this order."""
    return _first(layer, (".weight", "_weight", ""), names)


def bias_place(layer: str, names: Container[str]) -> Place | None:
    """The bias of a layer L: ``L.bias`` or ``L_bias``, in this order."""
    return _first(layer, (".bias", "_bias"), names)


def parameter_place(parameter: str, names: Container[str]) -> Place | None:
    """The tensor of a parameter outside layers."""
    return _first(parameter, ("",), names)


def module_of(layer: str) -> str:
    """The layer's name without its address."""
    return _parsed(layer)[0]


def _first(owner: str, endings: tuple[str, ...], names: Container[str]) -> Place | None:
    # A name may hold brackets of its own.
    for ending in endings:
        if owner + ending in names:
            return Place(owner + ending)
    name, index, rows = _parsed(owner)
    for ending in endings:
        if name + ending in names:
            return Place(name + ending, index, rows)
    return None


def _parsed(owner: str) -> tuple[str, int | None, tuple[int, int] | None]:
    match = _ADDRESS.match(owner)
    if match is None:
        return owner, None, None
    index = None if match["index"] is None else int(match["index"])
    rows = None if match["start"] is None else (int(match["start"]), int(match["end"]))
    return match["name"], index, rows
