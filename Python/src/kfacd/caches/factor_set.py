"""The factors of one task, and their file ``kfacd.factors/1``.

Source: Sources/DESIGN.md, sections 2.1 and 3.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from kfacd.compressed import decoded, stated
from kfacd.problems import InputError
from kfacd.regularizer import FORMAT as REGULARIZER_FORMAT
from kfacd.regularizer import read_regularizer
from kfacd.symmetric import flaw, packed, packed_dimension, symmetrized, unpacked
from kfacd.tensor_files import files_of_set, opened

FORMAT = "kfacd.factors/1"


@dataclass
class FactorSet:
    """Factors of a task, by layer and parameter, under the names of the base."""

    task: str
    #: ``tak``, ``expand`` or ``reduce``.
    normalization: str
    #: N, the number of samples.
    samples: int
    #: A of each layer, [d_in, d_in], one more with a bias, whose row and column are last. A vector is a diagonal.
    a: dict[str, torch.Tensor]
    #: B of each layer, [d_out, d_out]. A vector is a diagonal.
    b: dict[str, torch.Tensor]
    #: F of each parameter outside layers, [d, d].
    f: dict[str, torch.Tensor] = field(default_factory=dict)
    #: The rows behind A and B, by layer, as far as they are known.
    rows: dict[str, int] = field(default_factory=dict)
    #: Whether A has a row and a column of the bias, by layer, as far as it is known.
    bias: dict[str, bool] = field(default_factory=dict)
    #: Layers whose weight is stored as [d_in, d_out]: ``in_out``.
    layout: dict[str, str] = field(default_factory=dict)
    sha256_base: str | None = None
    #: N of layers and parameters that have another than the task.
    layer_samples: dict[str, int] = field(default_factory=dict)
    #: The layers whose factors are summed in a layer's own, as those of a tied head.
    uses: dict[str, list[str]] = field(default_factory=dict)
    #: The task's share in sums over tasks; the samples if not given.
    weight: float | None = None

    def problems(self, place: str) -> list[str]:
        """What keeps this from being a factor set; every sentence begins with the place."""
        found: list[str] = []
        if self.samples < 1:
            found.append(f"{place}: the task {self.task} has {self.samples} samples; expected at least 1.")
        if unpaired := sorted(set(self.a) ^ set(self.b)):
            layer = unpaired[0]
            present, absent = ("A", "B") if layer in self.a else ("B", "A")
            found.append(f"{place}: {layer} has {present} and no {absent}.")
        for side, tensors in (("A", self.a), ("B", self.b), ("F", self.f)):
            for owner, tensor in tensors.items():
                name, shape = f"{place}: {owner}.{side}", list(tensor.shape)
                if tensor.ndim not in (1, 2) or tensor.shape[0] != tensor.shape[-1] or tensor.numel() == 0:
                    found.append(f"{name} has the shape {shape}; expected a square, or a vector for a diagonal.")
                elif problem := flaw(tensor, tensor.ndim == 1):
                    found.append(f"{name} {problem}.")
        return found

    def checked(self, place: str) -> FactorSet:
        """This set, with squares that are symmetric in every bit.

        Raises:
            InputError: All problems that were found.
        """
        if found := self.problems(place):
            raise InputError(found)

        def mended(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {k: t if t.ndim == 1 else symmetrized(t) for k, t in tensors.items()}

        return replace(self, a=mended(self.a), b=mended(self.b), f=mended(self.f))

    def diagonal_problems(self, holder: str) -> list[str]:
        """A sentence for each layer of which a holder of whole matrices could not hold both factors."""
        return [
            f"{layer}: only a diagonal is known, and {holder} has whole matrices."
            for layer in self.a
            if self.a[layer].ndim == 1 or self.b[layer].ndim == 1
        ]

    def as_tak(self) -> FactorSet:
        """These factors in the convention ``tak``, in which B is divided by the rows and not by N.

        Raises:
            InputError: They are ``reduce``, whose sums are others; or they are ``expand`` and the rows are not known.
        """
        if self.normalization == "tak":
            return self
        if self.normalization != "expand":
            raise InputError(
                f"The factors of {self.task} are normalized as {self.normalization}; sums of single rows cannot be had "
                "from it. Compute them as tak or expand."
            )
        if missing := [layer for layer in self.b if not self.rows.get(layer)]:
            raise InputError(f"{missing[0]}: the rows behind its factors are not known, so expand cannot become tak.")
        b = {
            layer: tensor.double() * (self.layer_samples.get(layer, self.samples) / self.rows[layer])
            for layer, tensor in self.b.items()
        }
        return replace(self, normalization="tak", b=b)

    def save(self, directory: str | os.PathLike[str], storage: str = "full") -> Path:
        """Writes ``factors.safetensors``, and returns its path. A file that exists is whole.

        Args:
            directory: The directory; it is made if it is not there.
            storage: ``full`` squares, or ``packed`` triangles of half the size.

        Raises:
            InputError: The factors are not what their file must hold.
        """
        if storage not in ("full", "packed"):
            raise InputError(f"storage is {storage!r}; expected full or packed.")
        checked = self.checked(self.task)
        tensors: dict[str, torch.Tensor] = {}
        diagonals: list[str] = []
        for side, owners in (("A", checked.a), ("B", checked.b), ("F", checked.f)):
            for owner, tensor in owners.items():
                name = f"{owner}.{side}"
                if tensor.ndim == 1:
                    diagonals.append(name)
                elif storage == "packed":
                    tensor = packed(tensor)
                # safetensors refuses tensors that share memory, as those of layers that read the same rows may.
                tensors[name] = tensor.detach().to("cpu", torch.float32).contiguous().clone()
        metadata = {
            "format": FORMAT,
            "task": self.task,
            "samples": str(self.samples),
            "normalization": self.normalization,
            "bias": _json(self.bias),
            "damping": "none",
            "storage": storage,
        }
        if self.layer_samples:
            counted = [*self.a, *self.f]
            metadata["samples"] = _json({owner: self.layer_samples.get(owner, self.samples) for owner in counted})
        if self.rows and set(self.rows) >= set(self.a):
            metadata["rows"] = _json(self.rows)
        if self.uses:
            metadata["uses"] = _json(self.uses)
        if self.weight is not None:
            metadata["weight"] = repr(self.weight)
        if self.layout:
            metadata["layout"] = _json(self.layout)
        if diagonals:
            metadata["diagonal"] = json.dumps(sorted(diagonals))
        if self.sha256_base is not None:
            metadata["sha256_base"] = self.sha256_base
        return write_whole(Path(directory) / "factors.safetensors", lambda file: save_file(tensors, file, metadata))


def load(path: str | os.PathLike[str], *, samples: int = 1) -> FactorSet:
    """Reads ``kfacd.factors/1``, or an accumulated ``kfacd.regularizer/1`` as the factors of one pseudo-task.

    Args:
        path: The file, or its directory.
        samples: N of a regularizer, which is of many tasks and has no number of its own.

    Raises:
        InputError: All problems that were found, each with the file and the tensor.
    """
    path = Path(path)
    stem = "regularizer" if path.is_dir() and list(path.glob("regularizer.safetensors*")) else "factors"
    files = files_of_set(path, stem)
    with opened(files[0]) as handle:
        found = (handle.metadata() or {}).get("format")
    if found == REGULARIZER_FORMAT:
        return _pseudo_task(path, samples)
    if found != FORMAT:
        raise InputError(
            f"{files[0]}: the format is {found or 'not stated'}; expected {FORMAT} or {REGULARIZER_FORMAT}."
        )
    sides: dict[str, dict[str, torch.Tensor]] = {"A": {}, "B": {}, "F": {}}
    metadata: dict[str, Any] = {}
    for file in files:
        with opened(file) as handle:
            metadata = _parsed(file, handle.metadata())
            compressed = stated(file, handle.metadata())
            for name in handle.keys():  # noqa: SIM118
                owner, _, side = name.rpartition(".")
                if side not in sides:
                    raise InputError(f"{file}: the tensor {name} is none of a factor file.")
                tensor = handle.get_tensor(name)
                if name in compressed:
                    tensor = decoded(file, name, tensor, compressed[name])
                elif tensor.ndim == 1 and name not in metadata.get("diagonal", []):
                    if packed_dimension(tensor.numel()) is None:
                        raise InputError(f"{file}: {name} has {tensor.numel()} elements, which is no packed triangle.")
                    tensor = unpacked(tensor)
                sides[side][owner] = tensor
    counts = metadata.get("samples", 0)
    rows = metadata.get("rows", {})
    if isinstance(rows, int):
        rows = {layer: rows for layer in sides["A"]}
    # Where layers have samples of their own, the task has the most of them.
    number = max(counts.values(), default=0) if isinstance(counts, dict) else int(counts)
    factors = FactorSet(
        task=str(metadata.get("task", path.stem)),
        normalization=str(metadata.get("normalization", "tak")),
        samples=number,
        a=sides["A"],
        b=sides["B"],
        f=sides["F"],
        rows=rows,
        bias=metadata.get("bias", {}),
        layout=metadata.get("layout", {}),
        sha256_base=metadata.get("sha256_base"),
        layer_samples=counts if isinstance(counts, dict) and len(set(counts.values())) > 1 else {},
        uses=metadata.get("uses", {}),
        weight=metadata.get("weight"),
    )
    return factors.checked(str(path))


def write_whole(path: Path, write: Any) -> Path:
    """Writes a file under a temporary name, and renames it when it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _pseudo_task(path: Path, samples: int) -> FactorSet:
    regularizer = read_regularizer(path)
    if regularizer.form == "per_task" or any(len(terms) > 1 for terms in regularizer.layers.values()):
        raise InputError(
            f"{path}: its form is {regularizer.form}, with several products; only one with a single product is the "
            "factors of one pseudo-task. Compute it with form: accumulated."
        )
    terms = {layer: terms[0] for layer, terms in regularizer.layers.items()}
    return FactorSet(
        task=regularizer.target,
        normalization=regularizer.normalization or "tak",
        samples=samples,
        a={layer: term.a for layer, term in terms.items()},
        b={layer: term.b for layer, term in terms.items()},
        f={name: blocks[0].f for name, blocks in regularizer.parameters.items()},
        bias=regularizer.bias,
        layout=regularizer.layout,
        sha256_base=regularizer.sha256_base,
    ).checked(str(path))


_JSON_KEYS = ("samples", "rows", "bias", "layout", "diagonal", "uses", "weight")


def _parsed(file: Path, strings: dict[str, str]) -> dict[str, Any]:
    try:
        return {key: json.loads(text) if key in _JSON_KEYS else text for key, text in strings.items()}
    except ValueError as error:
        raise InputError(f"{file}: the metadata are not JSON where they must be: {error}.") from error


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
