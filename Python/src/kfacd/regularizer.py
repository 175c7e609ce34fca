"""Reads a regularizer file, ``kfacd.regularizer/1``.

Source: Sources/DESIGN.md, sections 2.2 and 3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from kfacd.compressed import stated
from kfacd.joint_files import ROW_SIDES, StoredRows, stated_buckets, stated_floor, stated_ranks
from kfacd.joint_rows import JointRows
from kfacd.metadata import Metadata
from kfacd.problems import InputError, listed
from kfacd.stored_matrices import stored_matrix
from kfacd.tensor_files import files_of_set, opened

FORMAT = "kfacd.regularizer/1"
_FORMS = ("accumulated", "optimal", "per_task", "pseudo_rows")
_SIDES = ("A", "B", "F")
#: By how much the rows may exceed the factors, as a share: both are rounded to fp32.
_TOLERANCE = 1e-4


@dataclass
class Term:
    """One product weight · B ⊗ A of a layer. A vector stands for a diagonal matrix."""

    weight: float
    a: torch.Tensor
    b: torch.Tensor


@dataclass
class FullBlock:
    """weight · F of a parameter outside layers. A vector stands for a diagonal matrix."""

    weight: float
    f: torch.Tensor


@dataclass
class Regularizer:
    """A regularizer: sums of curvature over tasks, for one target."""

    path: Path
    #: The task that is left out, or ``all``.
    target: str
    #: ``accumulated``, ``optimal``, ``per_task`` or ``pseudo_rows``.
    form: str
    #: ``paper`` or ``mean``; the factors include it.
    scale: str
    normalization: str | None
    sha256_base: str | None
    #: Whether A's last row and column are those of the bias, by layer, as far as the file states it.
    bias: dict[str, bool]
    #: ``out_in`` or ``in_out``, by layer, as far as the file states it.
    layout: dict[str, str]
    #: The products of each layer.
    layers: dict[str, list[Term]] = field(default_factory=dict)
    #: The blocks of each parameter outside layers.
    parameters: dict[str, list[FullBlock]] = field(default_factory=dict)
    #: The joint rows of each layer and of each parameter outside layers, in the form ``pseudo_rows``.
    joint_rows: dict[str, JointRows] = field(default_factory=dict)
    #: Whether Ω has only what the factors hold and the joint rows do not.
    is_complement: bool = False


def read_regularizer(path: str | Path) -> Regularizer:
    """Reads a regularizer of any form and storage.

    Args:
        path: The file, or the directory of a sharded set.

    Raises:
        InputError: All problems that were found, each with the file and the tensor.
    """
    path = Path(path)
    files = files_of_set(path, "regularizer")
    regularizer: Regularizer | None = None
    owners: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    problems: list[str] = []
    weights: dict[str, dict[str, float]] = {}
    rows: StoredRows | None = None
    floor: float | None = 1.0
    for file in files:
        with opened(file) as handle:
            metadata = Metadata(file, handle.metadata() or {})
            if regularizer is None:
                regularizer, weights = _described(path, metadata), _weights(metadata)
                if regularizer.form == "pseudo_rows":
                    rows, floor = _described_rows(path, metadata)
            diagonals: set[str] = set(metadata.json("diagonal", list, []))
            compressed = stated(file, metadata.values)
            for name in handle.keys():  # noqa: SIM118
                owner, _, side = name.rpartition(".")
                is_row = rows is not None and side in ROW_SIDES
                if not is_row and (side not in _SIDES or not owner):
                    problems.append(
                        f"{file}: the tensor {name} is none of a regularizer; expected a name ending in .A, .B or .F"
                        + ("." if rows is None else f", or in {', '.join(ROW_SIDES)}.")
                    )
                    continue
                try:
                    if is_row and rows is not None:
                        rows.add(file, name, handle.get_tensor(name))
                        continue
                    prefix, owner = _split(owner, regularizer.form, weights)
                    matrix = stored_matrix(file, name, handle.get_tensor(name), name in diagonals, compressed.get(name))
                except InputError as problem:
                    problems += problem.problems
                    continue
                owners.setdefault((prefix, owner), {})[side] = matrix
    assert regularizer is not None, "a set has at least one file"
    for (prefix, owner), sides in owners.items():
        weight = _weight(prefix, owner, weights) * (1.0 if floor is None else floor)
        if set(sides) == {"F"}:
            regularizer.parameters.setdefault(owner, []).append(FullBlock(weight, sides["F"]))
        elif set(sides) == {"A", "B"}:
            regularizer.layers.setdefault(owner, []).append(Term(weight, sides["A"], sides["B"]))
        elif not problems:
            # A side whose matrix is damaged was reported already.
            problems.append(
                f"{path}: {prefix}{owner} has {' and '.join(sorted(sides))}; a layer has A and B, a parameter F alone."
            )
    if not owners and not problems and rows is None:
        problems.append(f"{path}: the file holds no factors.")
    if rows is not None and not problems:
        problems += _joined(regularizer, rows, floor)
    if problems:
        raise InputError(problems)
    return regularizer


def _described(path: Path, metadata: Metadata) -> Regularizer:
    found = metadata.values.get("format")
    if found != FORMAT:
        raise InputError(
            f"{metadata.file}: the format is {found or 'not stated'}; expected {FORMAT}. A job writes such a file as "
            "regularizer/TARGET/regularizer.safetensors if its outputs name regularizer."
        )
    layout: dict[str, str] = metadata.json("layout", dict, {})
    for layer, value in layout.items():
        if value not in ("out_in", "in_out"):
            raise InputError(f"{metadata.file}: the layout of {layer} is {value!r}; expected out_in or in_out.")
    return Regularizer(
        path=path,
        target=metadata.required("target"),
        form=metadata.required("form", _FORMS),
        scale=metadata.required("scale", ("paper", "mean")),
        normalization=metadata.values.get("normalization"),
        sha256_base=metadata.values.get("sha256_base"),
        bias=metadata.json("bias", dict, {}),
        layout=layout,
    )


def _described_rows(path: Path, metadata: Metadata) -> tuple[StoredRows, float | None]:
    """What the metadata of the form ``pseudo_rows`` state, and the factor of its K-FAC; None for the complement."""
    if metadata.required("normalization") != "expand":
        raise InputError(
            f"{metadata.file}: the normalization is {metadata.values['normalization']}; expected expand: joint rows "
            "are not divided by the number of positions, as B is under tak. Make the job with normalization: expand."
        )
    ranks: dict[str, Any] = metadata.json("ranks", dict, {})
    buckets = stated_buckets(metadata.file, metadata.json("buckets", dict, {}))
    rows = StoredRows(path, stated_ranks(metadata.file, ranks), {} if buckets is None else buckets.rows)
    floor = metadata.required("floor")
    try:
        return rows, stated_floor(floor)
    except ValueError as error:
        raise InputError(f"{metadata.file}: the metadata have the floor {floor[:60]!r}; {error}.") from error


def _joined(regularizer: Regularizer, rows: StoredRows, floor: float | None) -> list[str]:
    """Adds joint rows to the layers and parameters that have factors, and returns what contradicts."""
    try:
        layers, parameters = rows.joint()
    except InputError as problem:
        return problem.problems
    regularizer.joint_rows = {**layers, **parameters}
    regularizer.is_complement = floor is None
    path, problems = regularizer.path, list[str]()
    factored = {**regularizer.layers, **regularizer.parameters}
    if floor == 0:
        if factored:
            names = listed(sorted(factored))
            problems.append(f"{path}: the floor is none, but the file has factors: {names}. Write the file again.")
        regularizer.layers = {name: [] for name in layers}
        regularizer.parameters = {name: [] for name in parameters}
    else:
        if alone := sorted(factored.keys() - layers.keys() - parameters.keys()):
            problems.append(f"{path}: {listed(alone)} has factors and no joint rows; with a floor each has both.")
        for name, joint in layers.items():
            problems += _problems_of_floor(regularizer, name, joint, "A and B", regularizer.layers.get(name))
        for name, joint in parameters.items():
            problems += _problems_of_floor(regularizer, name, joint, "F", regularizer.parameters.get(name))
    return problems


def _problems_of_floor(
    regularizer: Regularizer, name: str, joint: JointRows, sides: str, terms: Sequence[Term | FullBlock] | None
) -> list[str]:
    """What keeps the factors of a block from being the floor of its joint rows."""
    where = f"{regularizer.path}: {name}"
    if not terms:
        return [f"{where} has joint rows and lacks {sides}, which the floor needs."]
    problems: list[str] = []
    for term in terms:
        matrices = {"F": term.f} if isinstance(term, FullBlock) else {"A": term.a, "B": term.b}
        for side, matrix in matrices.items():
            size = joint.inputs.shape[2] if side == "A" else joint.gradients.shape[2]
            if matrix.shape[0] != size:
                problems.append(f"{where}.{side} is of the dimension {matrix.shape[0]}, but the joint rows of {size}.")
            elif matrix.ndim == 1 and regularizer.is_complement:
                problems.append(
                    f"{where}.{side} is a diagonal, of which joint rows have no complement; make the job with a number "
                    "as floor."
                )
            elif regularizer.is_complement:
                inside, whole = joint.trace(side), float(matrix.double().diagonal().sum())
                if inside > (1 + _TOLERANCE) * whole:
                    problems.append(
                        f"{where}: its joint rows hold {inside:.6g} of {side}, whose trace is {whole:.6g}, so that the "
                        "complement is negative. Make the regularizer again."
                    )
    return problems


def _weights(metadata: Metadata) -> dict[str, dict[str, float]]:
    """λ of equation 7: by task, then by layer; the key "" of the inner mapping is for all other layers.

    Empty unless the form is ``per_task``. A task without curvature in a layer has no factors there, and the λ of the
    others sum to 1.
    """
    if metadata.values.get("form") != "per_task":
        return {}
    given: dict[str, float] = metadata.json("lambda", dict, {})
    tasks: list[str] = metadata.json("tasks", list, [])
    missing: dict[str, list[str]] = metadata.json("missing_curvature", dict, {})
    if unweighted := [task for task in tasks if task not in given]:
        raise InputError(f"{metadata.file}: the metadata's lambda lacks the tasks {', '.join(unweighted)}.")
    weights = {task: {"": float(given[task])} for task in tasks}
    for layer, absent in missing.items():
        total = sum(float(given[task]) for task in tasks if task not in absent)
        for task in tasks:
            if task not in absent and total > 0:
                weights[task][layer] = float(given[task]) / total
    return weights


def _split(owner: str, form: str, weights: dict[str, dict[str, float]]) -> tuple[str, str]:
    """The prefix of a term or a task, with its slash, and the layer's or the parameter's name."""
    if form == "optimal" and (match := re.match(r"(term\d+/)(.+)", owner)):
        return match[1], match[2]
    if form == "per_task":
        # A task's name may itself begin another's; the longest is meant.
        for task in sorted(weights, key=len, reverse=True):
            if owner.startswith(task + "/"):
                return task + "/", owner[len(task) + 1 :]
        raise InputError(f"{owner}: its name begins with no task of the metadata; the file's form is per_task.")
    return "", owner


def _weight(prefix: str, owner: str, weights: dict[str, dict[str, float]]) -> float:
    by_layer = weights.get(prefix.removesuffix("/"))
    return 1.0 if by_layer is None else by_layer.get(owner, by_layer[""])
