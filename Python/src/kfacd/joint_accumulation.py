"""Joins the joint rows and factors of several tasks into one regularizer, of the form ``pseudo_rows``.

Source: Sources/DESIGN.md, section 2.2, joint form, several tasks.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from kfacd.compressed import Stated, stated
from kfacd.joint_compression import JointRanks, RowSide, compressed_rows
from kfacd.joint_files import ROW_SIDES, StoredRows, stated_floor, stated_ranks
from kfacd.metadata import Metadata
from kfacd.partials import StoredTensor, Values, text_of, write_tensors
from kfacd.problems import InputError, listed
from kfacd.regularizer import FORMAT
from kfacd.stored_matrices import stored_matrix
from kfacd.tensor_files import files_of_set, opened

_FACTORS = "kfacd.factors/1"
_EQUAL = ("bias", "layout", "sha256_base")
#: By how much sums of squares may exceed each other, as a share.
_TOLERANCE = 1e-4


@dataclass
class _Task:
    """The factor file of a task with joint rows."""

    path: Path
    metadata: Metadata
    rows: StoredRows
    #: The SHA-256 of the codebook by which positions were pooled; empty if they were not.
    codebook: str
    #: The file of each matrix, and its smaller form if it has one.
    matrices: dict[str, tuple[Path, Stated | None]]

    @property
    def shapes(self) -> dict[str, list[int]]:
        """The shape of each tensor of rows without the rank."""
        return {
            f"{owner}.{side}": list(tensor.shape[1:] if side.endswith("_rows") else tensor.shape)
            for owner, sides in self.rows.tensors.items()
            for side, tensor in sides.items()
        }

    def matrix(self, name: str, size: int) -> Tensor:
        """A matrix, [size, size], in fp64.

        Raises:
            InputError: It is missing, or another one.
        """
        if name not in self.matrices:
            raise InputError(f"{self.path}: the file lacks {name}, which its joint rows belong to.")
        file, compressed = self.matrices[name]
        if compressed is not None:
            raise InputError(
                f"{file}: {name} is compressed, but what the rows hold is subtracted from exact factors. Give the "
                "factors as they were collected."
            )
        with opened(file) as handle:
            matrix = stored_matrix(file, name, handle.get_tensor(name), False, None)
        if matrix.shape[0] != size:
            raise InputError(f"{file}: {name} is of the dimension {matrix.shape[0]}, but the joint rows of {size}.")
        return matrix.double()


def accumulate_joint_rows(
    factors: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    *,
    target: str = "all",
    ranks: tuple[int, int] | None = None,
    floor: Literal["complement", "none"] | float = "complement",
    scale: Literal["paper", "mean"] = "paper",
    weights: Mapping[str, float] | None = None,
) -> Path:
    """Writes a regularizer of the joint rows of several tasks, as a job does with the form ``pseudo_rows``.

    The tasks' rows are put one after the other, inputs times √λ, and compressed again with weights of positions that
    are plain means over these tasks. The floor has the sum of λ A, and sums of B and F; with the scale ``mean`` the
    latter are means. λ is a task's share of the samples, or of the weights.

    Args:
        factors: The factor files with joint rows, or their directories; a task that is left out is not among them.
        path: The file to write.
        target: The task that is left out, or ``all``.
        ranks: How many rows of inputs and of gradients are kept; by default the most that a task has.
        floor: What is added for directions that the rows do not see: K-FAC on the complement of the rows, nothing, or
            a number times K-FAC.
        scale: ``paper``, or ``mean``, which does not grow with the number of tasks.
        weights: The weight of each task by its name, as ``curvature_weight`` in a job; by default its number of
            samples. Only their ratios count.

    Returns:
        The file.

    Raises:
        InputError: All problems that were found: files without joint rows, or of different layers or bases.
    """
    if scale not in ("paper", "mean"):
        raise InputError(f"scale is {scale!r}; expected paper or mean.")
    if ranks is not None and (len(ranks) != 2 or any(type(rank) is not int or rank < 1 for rank in ranks)):
        raise InputError(f"ranks are {ranks}; expected two whole numbers of at least 1, of inputs and of gradients.")
    target_path, number = Path(path), _number(floor)
    tasks = [_task(Path(file)) for file in factors]
    names = [task.metadata.required("task") for task in tasks]
    _require_names(tasks, names, target)
    _require_equal(tasks)
    shares = _shares(tasks, names, weights)
    count = len(tasks)
    parameters = {name for name, sides in tasks[0].rows.tensors.items() if name and "input_rows" not in sides}
    chosen = JointRanks(*(ranks or (max(task.rows.ranks[side] for task in tasks) for side in (0, 1))))
    owners = sorted(tasks[0].rows.tensors)
    rows = compressed_rows(
        [_side(tasks, owner, "input", [share**0.5 for share in shares]) for owner in owners if owner not in parameters],
        [_side(tasks, owner, "gradient", [1.0] * count) for owner in owners if owner],
        parameters,
        chosen,
        (1.0, count**-0.5 if scale == "mean" else 1.0),
    )
    tensors = list(rows.tensors)
    if number != 0:
        sums = [1 / count if scale == "mean" else 1.0] * count
        for owner, sides in sorted(tasks[0].rows.tensors.items()):
            if owner in parameters:
                tensors.append(_sum(tasks, f"{owner}.F", sides["gradient_rows"].shape[-1], sums))
            elif owner:
                tensors.append(_sum(tasks, f"{owner}.A", sides["input_rows"].shape[-1], shares))
                tensors.append(_sum(tasks, f"{owner}.B", sides["gradient_rows"].shape[-1], sums))
    strings = {key: tasks[0].metadata.values.get(key) for key in _EQUAL}
    strings |= {"format": FORMAT, "target": target, "form": "pseudo_rows", "scale": scale, "floor": str(floor)}
    strings |= {"normalization": "expand", "one_dimensional": "sum", "tasks": text_of(names)}
    strings |= {"summed_tasks": str(count), "lambda": text_of(dict(zip(names, shares, strict=True)))}
    strings |= {"ranks": text_of(rows.ranks), "kept": text_of(rows.kept), "storage": "full"}
    if tasks[0].codebook:
        # A divides by the rows of a sample. Of the longest samples, the rows never hold more than A.
        pooled = {name: max(task.rows.pooled[name] for task in tasks) for name in tasks[0].rows.pooled}
        strings["buckets"] = text_of({"codebook": tasks[0].codebook, "rows": pooled})
    write_tensors(target_path, tensors, strings)
    return target_path


def _number(floor: str | float) -> float | None:
    """The number before K-FAC, 0 for none; None for the complement."""
    try:
        return stated_floor(str(floor))
    except ValueError as error:
        raise InputError(f"floor is {floor!r}; {error}.") from error


def _task(path: Path) -> _Task:
    """Reads the rows of a factor file, and finds its matrices."""
    task: _Task | None = None
    problems: list[str] = []
    for file in files_of_set(path, "factors"):
        with opened(file) as handle:
            metadata = Metadata(file, handle.metadata() or {})
            if task is None:
                _require_joint(metadata)
                joint: dict[str, Any] = metadata.json("joint_rows", dict, {})
                codebook, pooled = _buckets(metadata, joint)
                rows = StoredRows(path, stated_ranks(file, joint.get("ranks", {})), pooled)
                task = _Task(path, metadata, rows, codebook, {})
            compressed = stated(file, metadata.values)
            for name in handle.keys():  # noqa: SIM118
                if name.rpartition(".")[2] not in ROW_SIDES:
                    task.matrices[name] = (file, compressed.get(name))
                    continue
                try:
                    task.rows.add(file, name, handle.get_tensor(name))
                except InputError as problem:
                    problems += problem.problems
    assert task is not None, "a set has at least one file"
    if problems:
        raise InputError(problems)
    task.rows.joint()
    return task


def _buckets(metadata: Metadata, joint: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    """The codebook of a task, and the rows of its samples in each layer with pooled positions."""
    stated = joint.get("buckets", {})
    layers = stated.get("layers") if isinstance(stated, dict) else None
    if stated == {}:
        return "", {}
    known = isinstance(layers, list) and all(isinstance(name, str) for name in layers)
    if not isinstance(stated, dict) or not isinstance(stated.get("codebook"), str) or not known:
        raise InputError(
            f"{metadata.file}: the metadata's buckets are {str(stated)[:60]}; expected codebook and layers."
        )
    rows: dict[str, int] = metadata.json("rows", dict, {})
    samples = _counts(metadata)
    pooled: dict[str, float] = {}
    for name in layers or []:
        own = samples.get(name, samples.get("", 0))
        if type(rows.get(name)) is not int or rows[name] < 1 or own < 1:
            raise InputError(f"{metadata.file}: the metadata state no rows or samples of {name}, which has buckets.")
        pooled[name] = rows[name] / own
    return stated["codebook"], pooled


def _require_joint(metadata: Metadata) -> None:
    metadata.required("format", (_FACTORS,))
    metadata.required("normalization", ("expand",))
    if "joint_rows" not in metadata.values:
        raise InputError(
            f"{metadata.file}: the file has no joint rows; collect them with kfacd.collect(…, joint_rows=(32, 128))."
        )
    diagonals: list[str] = metadata.json("diagonal", list, [])
    if diagonals:
        raise InputError(
            f"{metadata.file}: {listed(diagonals)} is a diagonal, which joint rows do not cover yet. Collect without "
            "it."
        )


def _require_names(tasks: Sequence[_Task], names: Sequence[str], target: str) -> None:
    """Refuses a task that is given twice, and the one that is left out."""
    problems = [
        f"{task.path}: the file is of the task {name}, which {tasks[names.index(name)].path} has already."
        for place, (task, name) in enumerate(zip(tasks, names, strict=True))
        if names.index(name) < place
    ]
    if target in names:
        path = tasks[names.index(target)].path
        problems.append(f"{path}: the file is of the task {target}, which is the target; expected the other tasks.")
    if problems:
        raise InputError(problems)


def _require_equal(tasks: Sequence[_Task]) -> None:
    """Refuses tasks of different layers, shapes or bases, or without weights."""
    if not tasks:
        raise InputError("there is no factor file; expected those of one task or more.")
    problems: list[str] = []
    first = tasks[0]
    for task in tasks:
        problems += _contradictions(task)
        if "" not in task.rows.tensors:
            problems.append(f"{task.path}: the file lacks input_rows, the constant input.")
        if task.shapes != first.shapes:
            differing = sorted(
                name for name in task.shapes | first.shapes if task.shapes.get(name) != first.shapes.get(name)
            )
            problems.append(f"{task.path}: {listed(differing)} are not those of {first.path}; expected one model.")
        if task.codebook != first.codebook:
            problems.append(
                f"{task.path}: its positions are {_pooling(task)}, and those of {first.path} {_pooling(first)}; "
                "expected one codebook for all owners."
            )
        elif task.rows.pooled.keys() != first.rows.pooled.keys():
            differing = sorted(task.rows.pooled.keys() ^ first.rows.pooled.keys())
            problems.append(
                f"{task.path}: {listed(differing)} has buckets in this file or in {first.path} alone; expected both."
            )
        for key in _EQUAL:
            if task.metadata.values.get(key) != first.metadata.values.get(key):
                problems.append(f"{task.path}: its {key} is not that of {first.path}; expected one model.")
    if problems:
        raise InputError(problems)


def _contradictions(task: _Task) -> list[str]:
    """What a task's rows contradict: the mean squares beside them, its factors, or its number of rows."""
    problems: list[str] = []
    biases: dict[str, bool] = task.metadata.json("bias", dict, {})
    for owner, sides in sorted(task.rows.tensors.items()):
        for side in sorted(side for side in sides if side.endswith("_rows")):
            squares = side.replace("_rows", "_squares")
            name = f"{owner}.{squares}" if owner else squares
            if squares not in sides:
                problems.append(f"{task.path}: the file lacks {name}, the weight of its rows.")
                continue
            found, most = (float(value.double().sum()) for value in (sides[side].double() ** 2, sides[squares]))
            if found > (1 + _TOLERANCE) * most:
                problems.append(
                    f"{task.path}: the squares of its {side} of {owner or 'the constant'} sum to {found:.6g}; "
                    f"expected at most {most:.6g}, the sum of {name}. Collect them again."
                )
                continue
            try:
                problems += _squares_problem(task, owner, side, name, most)
            except InputError as problem:
                problems += problem.problems
        if biases.get(owner) is True and owner in task.rows.pooled and not problems:
            problems += _rows_problem(task, owner, sides)
    return problems


def _squares_problem(task: _Task, owner: str, side: str, name: str, found: float) -> list[str]:
    """Compares the sum of mean squares with the trace of the factor that they belong to.

    Raises:
        InputError: The factor is missing, or another one.
    """
    rows = task.rows.tensors[owner][side]
    pooled = task.rows.pooled.get(owner)
    if owner == "":
        expected, reason = 1.0, "the square of the constant"
    else:
        letter = "A" if side == "input_rows" else "B" if "input_rows" in task.rows.tensors[owner] else "F"
        expected = float(task.matrix(f"{owner}.{letter}", rows.shape[-1]).trace())
        reason = f"the trace of {owner}.{letter}"
        if side == "input_rows":
            count = pooled if pooled is not None else float(rows.shape[1])
            expected, reason = count * expected, f"{count:g} rows of a sample times {reason}"
    # Pooled rows are at most as large.
    excess = found - expected if pooled is not None else abs(found - expected)
    if excess <= _TOLERANCE * max(found, expected):
        return []
    return [
        f"{task.path}: {name} sum to {found:.6g}; expected {'at most ' if pooled is not None else ''}{expected:.6g}, "
        f"{reason}. Collect factors and joint rows again from the same samples."
    ]


def _rows_problem(task: _Task, owner: str, sides: Mapping[str, Tensor]) -> list[str]:
    """Compares the rows of a sample with what the ones of a bias became: roots of the positions in each bucket."""
    stated = task.rows.pooled[owner]
    least = float((sides["input_rows"][..., -1].double() ** 2).sum())
    most = float(sides["input_squares"].double().sum())
    # As many rows as samples hold all of them.
    counts = _counts(task.metadata)
    is_whole = task.rows.ranks[0] >= counts.get(owner, counts.get("", 0))
    slack = _TOLERANCE * stated
    if least <= stated + slack and most >= stated - slack and not (is_whole and least < stated - slack):
        return []
    expected = f"{least:.6g}" if is_whole else f"{least:.6g} to {most:.6g}"
    return [
        f"{task.path}: the metadata state {stated:g} rows of a sample of {owner}; expected {expected}, as the ones of "
        "its bias say. Collect them again."
    ]


def _pooling(task: _Task) -> str:
    return f"pooled by the codebook {task.codebook[:12]}" if task.codebook else "not pooled"


def _shares(tasks: Sequence[_Task], names: Sequence[str], weights: Mapping[str, float] | None) -> list[float]:
    """λ of each task; source: DESIGN section 2.2.

    Raises:
        InputError: A weight is missing, none of a number from 0 on, or of another task; or all are 0.
    """
    if weights is None:
        numbers = [_samples(task) for task in tasks]
    else:
        if not isinstance(weights, Mapping):
            raise InputError(f"weights are {str(weights)[:60]}; expected a number for each task, by its name.")
        if sorted(weights) != sorted(names):
            raise InputError(f"weights are of the tasks {listed(sorted(weights))}; expected {listed(sorted(names))}.")
        if any(type(weights[name]) not in (int, float) for name in names):
            raise InputError(f"weights are {dict(weights)}; expected a number above 0 for each task.")
        numbers = [float(weights[name]) for name in names]
    total = sum(numbers)
    if not math.isfinite(total) or min(numbers) <= 0:
        raise InputError(f"weights are {numbers}; expected numbers above 0. Leave a task out by leaving out its file.")
    return [number / total for number in numbers]


def _samples(task: _Task) -> float:
    """N, the most samples of a layer.

    Raises:
        InputError: The file states none.
    """
    return float(max(_counts(task.metadata).values()))


def _counts(metadata: Metadata) -> dict[str, int]:
    """N by layer or parameter, or that of all under an empty name.

    Raises:
        InputError: The file states none.
    """
    text = metadata.required("samples")
    try:
        stated = json.loads(text)
    except ValueError:
        stated = None
    counts = stated if isinstance(stated, dict) else {"": stated}
    if counts and all(type(count) is int and count > 0 for count in counts.values()):
        return counts
    raise InputError(f"{metadata.file}: samples are {text[:60]!r}; expected whole numbers of at least 1.")


def _side(tasks: Sequence[_Task], owner: str, kind: str, scales: Sequence[float]) -> RowSide:
    """The rows of all tasks, one after the other, times a factor, with weights that are means over the tasks."""
    rows = [task.rows.tensors[owner][f"{kind}_rows"] for task in tasks]
    squares = torch.stack([task.rows.tensors[owner][f"{kind}_squares"].double() for task in tasks]).mean(0)
    width = 1 if owner == "" else rows[0].shape[-1]
    parts = [each.reshape(len(each), len(squares), width) for each in rows]

    def read(first: int, end: int) -> Tensor:
        return torch.cat([part[:, first:end] * scale for part, scale in zip(parts, scales, strict=True)])

    count = sum(len(each) for each in rows)
    return RowSide(owner, count, len(squares), width, squares, torch.device("cpu"), read)


def _sum(tasks: Sequence[_Task], name: str, size: int, factors: Sequence[float]) -> StoredTensor:
    def make() -> Values:
        total = torch.zeros(size, size, dtype=torch.float64)
        for task, factor in zip(tasks, factors, strict=True):
            total += factor * task.matrix(name, size)
        return total.numpy()

    return StoredTensor(name, (size, size), make)
