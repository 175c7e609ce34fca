"""Joint rows in regularizer files, of the form ``pseudo_rows``.

Source: Sources/DESIGN.md, sections 2.2 and 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from kfacd.joint_rows import JointRows
from kfacd.problems import InputError, listed

#: The endings of the tensors. Rows of the constant input have no name before the ending.
ROW_SIDES = ("input_rows", "gradient_rows", "input_squares", "gradient_squares")

_DIMENSIONS = {"input_rows": "[k_A, P, d_in]", "gradient_rows": "[k_B, P, d_out]"}


@dataclass
class StoredRows:
    """The tensors of joint rows as a file has them, by owner and side."""

    path: Path
    #: The ranks k_A and k_B that the metadata state.
    ranks: tuple[int, int]
    #: The rows of a sample in each layer whose positions are pooled.
    pooled: Mapping[str, float] = field(default_factory=dict)
    tensors: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)

    def add(self, file: Path, name: str, tensor: torch.Tensor) -> None:
        """Adds a tensor whose name has one of the endings.

        Raises:
            InputError: It is of another type, empty, or not finite.
        """
        owner, _, side = name.rpartition(".")
        if tensor.dtype != torch.float32:
            raise InputError(f"{file}: {name} is of the type {tensor.dtype}; expected F32.")
        if tensor.numel() == 0:
            raise InputError(f"{file}: {name} has the shape {list(tensor.shape)}; expected at least one element.")
        if not bool(torch.isfinite(tensor).all()):
            place = torch.nonzero(~torch.isfinite(tensor))[0].tolist()
            raise InputError(f"{file}: {name} is not finite, first at {place}.")
        if side.endswith("_squares") and bool((tensor < 0).any()):
            raise InputError(f"{file}: {name} has a negative element; it holds means of squares.")
        self.tensors.setdefault(owner, {})[side] = tensor

    def joint(self) -> tuple[dict[str, JointRows], dict[str, JointRows]]:
        """The rows of layers, and those of parameters outside layers.

        Raises:
            InputError: All problems that were found.
        """
        problems: list[str] = []
        constant = self.tensors.get("", {}).get("input_rows")
        if constant is not None and constant.shape != (self.ranks[0],):
            problems.append(self._shape("input_rows", constant, f"[{self.ranks[0]}], as the metadata's ranks say"))
        layers: dict[str, JointRows] = {}
        parameters: dict[str, JointRows] = {}
        for owner, sides in sorted(self.tensors.items()):
            found: list[str] = []
            if owner == "":
                found += self._squares("", sides, 1)
            elif "input_rows" in sides or "input_squares" in sides or _dimension(sides) == 3:
                found += self._problems_of_layer(owner, sides)
                if not found:
                    layers[owner] = JointRows(sides["input_rows"], sides["gradient_rows"], self.pooled.get(owner))
            else:
                found += self._problems_of_parameter(owner, sides, constant)
                if not found and constant is not None:
                    parameters[owner] = JointRows(constant.reshape(-1, 1, 1), sides["gradient_rows"].unsqueeze(1))
            problems += found
        if strange := sorted(self.pooled.keys() - self.tensors.keys()):
            problems.append(f"{self.path}: the metadata's buckets name {listed(strange)}, which has no joint rows.")
        if not layers and not parameters and not problems:
            problems.append(f"{self.path}: the file holds no joint rows; its form is pseudo_rows.")
        if problems:
            raise InputError(problems)
        return layers, parameters

    def _problems_of_layer(self, owner: str, sides: Mapping[str, torch.Tensor]) -> list[str]:
        problems: list[str] = []
        for side, rank in zip(_DIMENSIONS, self.ranks, strict=True):
            tensor = sides.get(side)
            if tensor is None:
                problems.append(f"{self.path}: {owner} lacks {side}; joint rows of a layer have both sides.")
            elif tensor.ndim != 3 or tensor.shape[0] != rank:
                expected = f"{_DIMENSIONS[side]} with the rank {rank} of the metadata"
                problems.append(self._shape(f"{owner}.{side}", tensor, expected))
        if problems:
            return problems
        positions = [sides[side].shape[1] for side in _DIMENSIONS]
        if positions[0] != positions[1]:
            return [
                f"{self.path}: {owner} has {positions[0]} positions in input_rows and {positions[1]} in gradient_rows; "
                "expected as many. Write the file again."
            ]
        return self._squares(owner, sides, positions[0])

    def _problems_of_parameter(
        self, owner: str, sides: Mapping[str, torch.Tensor], constant: torch.Tensor | None
    ) -> list[str]:
        tensor = sides.get("gradient_rows")
        if tensor is None:
            return [f"{self.path}: {owner} has gradient_squares and no rows."]
        if tensor.ndim != 2 or tensor.shape[0] != self.ranks[1]:
            expected = f"[k_B, d] with the rank {self.ranks[1]} of the metadata; a layer also has input_rows"
            return [self._shape(f"{owner}.gradient_rows", tensor, expected)]
        if constant is None:
            return [f"{self.path}: the file lacks input_rows, the constant input of the parameter {owner}."]
        return self._squares(owner, sides, 1)

    def _squares(self, owner: str, sides: Mapping[str, torch.Tensor], positions: int) -> list[str]:
        prefix = f"{owner}." if owner else ""
        return [
            self._shape(f"{prefix}{side}", tensor, f"[{positions}], one for each position")
            for side, tensor in sides.items()
            if side.endswith("_squares") and list(tensor.shape) != [positions]
        ]

    def _shape(self, name: str, tensor: torch.Tensor, expected: str) -> str:
        return f"{self.path}: {name} has the shape {list(tensor.shape)}; expected {expected}."


def stated_ranks(file: Path, ranks: Any) -> tuple[int, int]:
    """k_A and k_B of the metadata.

    Raises:
        InputError: They are not two numbers of at least 1.
    """
    values = [ranks.get(side) if isinstance(ranks, dict) else None for side in ("inputs", "gradients")]
    if any(type(value) is not int or value < 1 for value in values):
        raise InputError(
            f"{file}: the metadata's ranks are {str(ranks)[:60]}; expected inputs and gradients, whole numbers "
            "of at least 1."
        )
    return int(values[0] or 0), int(values[1] or 0)


@dataclass(frozen=True)
class StatedBuckets:
    """What the metadata say of pooled positions."""

    #: The SHA-256 of the codebook.
    codebook: str
    #: The rows of a sample in each layer whose positions are pooled.
    rows: Mapping[str, float]


def stated_buckets(file: Path, stated: Mapping[str, Any]) -> StatedBuckets | None:
    """The buckets of a regularizer file; none where positions are not pooled, and nothing is stated.

    Raises:
        InputError: They lack the codebook, or the rows of a layer are no positive number.
    """
    if not stated:
        return None
    codebook, rows = stated.get("codebook"), stated.get("rows")
    if not isinstance(codebook, str) or not isinstance(rows, dict):
        raise InputError(
            f"{file}: the metadata's buckets are {str(stated)[:60]}; expected codebook and rows, the rows of a sample "
            "by layer."
        )
    for layer, number in rows.items():
        if type(number) not in (int, float) or not (math.isfinite(number) and number > 0):
            raise InputError(f"{file}: the metadata's buckets state {str(number)[:60]} rows of {layer}; expected more.")
    return StatedBuckets(codebook, {layer: float(number) for layer, number in rows.items()})


def stated_floor(text: str) -> float | None:
    """The number before K-FAC: 0 for ``none``; None for ``complement``.

    Raises:
        ValueError: It is none of them; the text says what was expected.
    """
    if text in ("none", "complement"):
        return 0.0 if text == "none" else None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ValueError("expected complement, none or a number above 0")
    return number


def _dimension(sides: Mapping[str, torch.Tensor]) -> int | None:
    tensor = sides.get("gradient_rows")
    return None if tensor is None else tensor.ndim
