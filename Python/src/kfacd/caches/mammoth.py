"""The cache of TAK in aimagelab/mammoth (e75a491): five files for each task.

``DATASET_task_ID_aaT.pt``, ``_ggT.pt``, ``_ffT.pt`` hold dictionaries of sums over the samples, by the name of the
weight or the parameter: Σ_n 1/R Σ_r ã ãᵀ, Σ_n Σ_m 1/R Σ_r g gᵀ, and Σ_n Σ_m s sᵀ. ``_num_aaT.pt`` and ``_num_ggT.pt``
hold the number of samples, [1], int64. So A is aaT / N, B is ggT / (N M) and F is ffT / (N M), in the convention
``tak``. M is not stored.

Source: models/tak_utils/fisher_kfac.py, hooks.py and utils.py (FisherLoader) there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch

from kfacd.caches import clip_names
from kfacd.caches.factor_set import FactorSet, write_whole
from kfacd.caches.pickles import load_weights, tensors_of
from kfacd.problems import InputError, listed

_COUNT = re.compile(r"^(?P<dataset>.+)_task_(?P<id>\d+)_num_aaT\.pt$")


def read(directory: Path, *, task: str, task_id: int | None, probes: int, prefix: str) -> FactorSet:
    """Reads a task's five files; see :func:`kfacd.caches.read`."""
    stem = _stem(directory, task, task_id)
    counts = {name: _count(directory / f"{stem}_{name}.pt") for name in ("num_aaT", "num_ggT")}
    if counts["num_aaT"] != counts["num_ggT"]:
        raise InputError(
            f"{directory}/{stem}_num_ggT.pt: {counts['num_ggT']} samples; expected {counts['num_aaT']}, as in num_aaT."
        )
    samples = counts["num_aaT"]
    if samples < 1:
        raise InputError(f"{directory}/{stem}_num_aaT.pt: {samples} samples; expected at least 1.")
    if probes < 1:
        raise InputError(f"probes is {probes}; expected at least 1.")
    raw = {name: _tensors(directory / f"{stem}_{name}.pt") for name in ("aaT", "ggT", "ffT")}

    def layers(name: str, divisor: int) -> dict[str, torch.Tensor]:
        found = {}
        for key, tensor in raw[name].items():
            if not key.endswith(".weight"):
                raise InputError(f"{directory}/{stem}_{name}.pt: {key} names no weight; expected NAME.weight.")
            layer = prefix + clip_names.layer_from_mammoth(key.removesuffix(".weight"))
            found[layer] = tensor.double() / divisor
        return found

    a, b = layers("aaT", samples), layers("ggT", samples * probes)
    projection = prefix + clip_names.PROJECTION
    return FactorSet(
        task=task,
        normalization="tak",
        samples=samples,
        a=a,
        b=b,
        f={
            prefix + clip_names.parameter_from_mammoth(name): tensor.double() / (samples * probes)
            for name, tensor in raw["ffT"].items()
        },
        # Beside a transposed layer a job wants to know the layout of every square one.
        layout={layer: "in_out" if layer == projection else "out_in" for layer in a},
    ).checked(f"{directory}/{stem}")


def write(directory: Path, factors: FactorSet, *, task: str, task_id: int, prefix: str) -> list[Path]:
    """Writes a task's five files; see :func:`kfacd.caches.write`."""
    factors = fused(factors.as_tak())
    samples = factors.samples
    projection = prefix + clip_names.PROJECTION
    names = [*factors.a, *factors.f]
    problems = [
        f"{name}: its name does not begin with {prefix!r}; give the prefix of the vision tower's names."
        for name in names
        if not name.startswith(prefix)
    ]
    problems += factors.diagonal_problems("mammoth's cache")
    problems += [
        f"{layer}: its weight is stored as [d_in, d_out], which mammoth has of the projection alone."
        for layer, layout in factors.layout.items()
        if layout == "in_out" and layer != projection
    ]
    problems += [f"{layer}: mammoth's cache has no parts of layers." for layer in factors.a if "[" in layer]
    if problems:
        raise InputError(problems)

    def sums(tensors: dict[str, torch.Tensor], ending: str = ".weight") -> dict[str, torch.Tensor]:
        name = clip_names.layer_to_mammoth if ending else clip_names.parameter_to_mammoth
        return {
            name(owner.removeprefix(prefix)) + ending: (tensor.double() * samples).float()
            for owner, tensor in tensors.items()
        }

    count = torch.tensor([samples])
    contents = {
        "aaT": sums(factors.a),
        "ggT": sums(factors.b),
        "ffT": sums(factors.f, ""),
        "num_aaT": count,
        "num_ggT": count,
    }
    return [
        write_whole(directory / f"{task}_task_{task_id}_{name}.pt", lambda file, value=value: torch.save(value, file))
        for name, value in contents.items()
    ]


def fused(factors: FactorSet) -> FactorSet:
    """Joins the parts ``L[a:b]`` of fused layers, whose rows are all there.

    The parts read the same rows, so they have one A. What two parts share is not known: B is block-diagonal.

    Raises:
        InputError: A part is missing, or the parts differ in A.
    """
    parts: dict[str, list[tuple[int, int, str]]] = {}
    for layer in factors.a:
        if (found := clip_names.part(layer)) is not None:
            parts.setdefault(found[0], []).append((found[1], found[2], layer))
    a, b, bias, layout = dict(factors.a), dict(factors.b), dict(factors.bias), dict(factors.layout)
    for whole, members in parts.items():
        members.sort()
        ends = [0, *(end for _, end, _ in members)]
        if [start for start, _, _ in members] != ends[:-1]:
            raise InputError(
                f"{whole}: only {listed([m[2] for m in members])} have factors; expected all its output rows."
            )
        first = a[members[0][2]]
        if differing := [layer for _, _, layer in members if not _agree(a[layer], first)]:
            raise InputError(f"{differing[0]}: its A differs from that of {members[0][2]}, which reads the same rows.")
        blocks = [b.pop(layer) for _, _, layer in members]
        for _, _, layer in members:
            del a[layer]
            layout.pop(layer, None)
        a[whole], b[whole] = first, block_diagonal(blocks)
        stated = {bias.pop(layer) for _, _, layer in members if layer in bias}
        if len(stated) == 1:
            bias[whole] = stated.pop()
    return replace(factors, a=a, b=b, bias=bias, layout=layout)


def _agree(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two sums over the same rows differ by rounding only."""
    return left.shape == right.shape and bool((left - right).norm() <= 1e-4 * right.norm())


def block_diagonal(blocks: list[torch.Tensor]) -> torch.Tensor:
    """The matrix with these squares along its diagonal."""
    side = sum(block.shape[0] for block in blocks)
    matrix = torch.zeros(side, side, dtype=blocks[0].dtype)
    start = 0
    for block in blocks:
        end = start + block.shape[0]
        matrix[start:end, start:end] = block
        start = end
    return matrix


def _stem(directory: Path, task: str, task_id: int | None) -> str:
    if not directory.is_dir():
        raise InputError(f"{directory}: there is no such directory.")
    found = [match for path in sorted(directory.iterdir()) if (match := _COUNT.match(path.name))]
    stems = [f"{match['dataset']}_task_{match['id']}" for match in found]
    if not stems:
        raise InputError(
            f"{directory}: no file of mammoth's cache is there; expected DATASET_task_ID_num_aaT.pt and others."
        )
    matching = [
        stem for match, stem in zip(found, stems, strict=True) if (task_id is None or int(match["id"]) == task_id)
    ]
    named = [stem for stem in matching if re.fullmatch(re.escape(task) + r"_task_\d+", stem)]
    matching = named or matching
    if len(matching) != 1:
        wanted = "" if task_id is None else f" with the number {task_id}"
        raise InputError(
            f"{directory}: {len(matching)} tasks{wanted}; expected one. Give task (the data set) and task_id. The "
            f"cache has {listed(stems)}."
        )
    return matching[0]


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    return tensors_of(file, load_weights(file))


def _count(file: Path) -> int:
    value = load_weights(file)
    if not isinstance(value, torch.Tensor) or value.numel() != 1 or value.is_floating_point():
        raise InputError(f"{file}: expected a number of samples, one whole number.")
    return int(value.item())
