"""The files `kfacd.partials/1` and `kfacd.factors/1`; source: kfacd-job(5), Input files."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import OptionError
from .sums import Packed

Make = Callable[[], Packed]
Values = np.ndarray[tuple[int, ...], np.dtype[Any]]


@dataclass(frozen=True)
class StatedLayer:
    """What files say of one layer."""

    name: str
    rows: int
    has_bias: bool
    layout: str
    input_size: int
    """n of A, with the column of a bias."""
    output_size: int
    input_diagonal: bool
    output_diagonal: bool


@dataclass(frozen=True)
class SummedLayer(StatedLayer):
    """What was summed of one layer."""

    input_sum: Make
    """Makes Σ ã ãᵀ: the packed lower triangle, or the diagonal."""
    output_sum: Make
    exact_trace: float | None = None
    """Σ ‖Σ_p g_p ã_pᵀ‖² over samples and probes; none unless it was summed."""


@dataclass(frozen=True)
class SummedParameter:
    """What was summed of one parameter outside layers."""

    name: str
    size: int
    sum: Make


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of fp32 in a file."""

    name: str
    shape: tuple[int, ...]
    make: Callable[[], Values]
    """Makes the values, in any floating-point type."""


@dataclass(frozen=True)
class SummedRows:
    """The joint rows of a task."""

    tensors: Sequence[StoredTensor]
    ranks: Mapping[str, int]
    """The rows of `inputs` and `gradients`."""
    kept: Mapping[str, float]
    """Their share of the trace of the weighted Gram matrix, of `inputs` and `gradients`."""
    codebook: str | None = None
    """The SHA-256 of the codebook by which positions were pooled, if they were."""
    pooled: Sequence[str] = ()
    """The layers with pooled positions."""

    def statement(self) -> dict[str, Any]:
        """What a factor file's metadata say of them."""
        stated: dict[str, Any] = {"ranks": self.ranks, "kept": self.kept}
        if self.codebook is not None:
            stated["buckets"] = {"codebook": self.codebook, "layers": list(self.pooled)}
        return stated


@dataclass(frozen=True)
class Stated:
    """What files say of the sums of one rank."""

    task: str
    samples: int
    probes: int
    normalization: str
    sha256_base: str | None
    products: str
    layers: Sequence[StatedLayer]

    def strings(self) -> dict[str, str | None]:
        """The metadata that both formats share."""
        layouts = {layer.name: layer.layout for layer in self.layers if layer.layout != "out_in"}
        diagonal = [f"{layer.name}.A" for layer in self.layers if layer.input_diagonal]
        diagonal += [f"{layer.name}.B" for layer in self.layers if layer.output_diagonal]
        return {
            "task": self.task,
            "samples": str(self.samples),
            "rows": text_of({layer.name: layer.rows for layer in self.layers}),
            "probes": str(self.probes),
            "normalization": self.normalization,
            "bias": text_of({layer.name: layer.has_bias for layer in self.layers}),
            "layout": text_of(layouts) if layouts else None,
            "diagonal": text_of(sorted(diagonal)) if diagonal else None,
            "sha256_base": self.sha256_base,
            "products": self.products,
        }

    def first_strings(self) -> dict[str, str]:
        """What a stream of rows states before its rows are counted; source: CLIENT.md, Rows as a stream."""
        later = ("samples", "rows", "products")
        return {key: value for key, value in self.strings().items() if key not in later and value is not None}


@dataclass(frozen=True)
class Summed(Stated):
    """The sums of one rank."""

    layers: Sequence[SummedLayer]
    parameters: Sequence[SummedParameter]


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: str
    make: Callable[[], memoryview]
    byte_count: int


class SafetensorsFile:
    """A file of safetensors whose values are made when they are asked for, one tensor at a time."""

    def __init__(self, tensors: Sequence[_Tensor], strings: Mapping[str, str | None]) -> None:
        """Makes the header.

        Args:
            tensors: In the order of the file.
            strings: The metadata; what is none is left out.
        """
        header: dict[str, object] = {
            "__metadata__": {key: value for key, value in strings.items() if value is not None}
        }
        offset = 0
        for tensor in tensors:
            header[tensor.name] = {
                "dtype": tensor.kind,
                "shape": list(tensor.shape),
                "data_offsets": [offset, offset + tensor.byte_count],
            }
            offset += tensor.byte_count
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._head = struct.pack("<Q", len(text)) + text
        self._tensors = tensors
        self.byte_count = len(self._head) + offset

    def parts(self, first: int = 0) -> Iterator[memoryview]:
        """The bytes from `first` on: the header, then each tensor."""
        if first < len(self._head):
            yield memoryview(self._head)[first:]
        offset = len(self._head)
        for tensor in self._tensors:
            end = offset + tensor.byte_count
            if first < end:
                yield tensor.make()[max(0, first - offset) :]
            offset = end

    def digest(self) -> str:
        """The SHA-256 of all bytes, in hexadecimal digits."""
        digest = hashlib.sha256()
        for part in self.parts():
            digest.update(part)
        return digest.hexdigest()


def partials_file(
    summed: Summed, run: str, rank: int, sequence: int, joint_rows: SummedRows | None = None
) -> SafetensorsFile:
    """The sums of one rank since its last file, in fp64, and the joint rows of their samples."""
    tensors: list[_Tensor] = []

    def add(name: str, size: int, diagonal: bool, make: Make) -> None:
        length = size if diagonal else size * (size + 1) // 2
        tensors.append(_Tensor(name, (length,), "F64", lambda: _bytes(make(), "<f8"), 8 * length))

    for layer in summed.layers:
        add(f"{layer.name}.A", layer.input_size, layer.input_diagonal, layer.input_sum)
        add(f"{layer.name}.B", layer.output_size, layer.output_diagonal, layer.output_sum)
    for parameter in summed.parameters:
        add(f"{parameter.name}.F", parameter.size, False, parameter.sum)
    traces = {layer.name: layer.exact_trace for layer in summed.layers if layer.exact_trace is not None}
    places: dict[str, str | None] = {"exact_trace": text_of(traces) if traces else None}
    if joint_rows is not None:
        tensors += [_in_fp32(tensor) for tensor in joint_rows.tensors]
        places["joint_rows"] = text_of(joint_rows.statement())
    places |= {"format": "kfacd.partials/1", "run": run, "rank": str(rank), "sequence": str(sequence)}
    return SafetensorsFile(tensors, {**summed.strings(), **places})


def write_factors(path: Path, summed: Summed, packed: bool, joint_rows: SummedRows | None) -> None:
    """Writes the factors of a task: the sums, divided in fp64 and rounded once to fp32, and its joint rows.

    A layer without rows has no factors. Source of the divisors: DESIGN section 2.1.
    """
    tensors: list[_Tensor] = []
    per_probe = summed.samples * summed.probes

    def add(name: str, size: int, diagonal: bool, divisor: int, make: Make) -> None:
        triangle = size if diagonal else size * (size + 1) // 2
        shape = (triangle,) if diagonal or packed else (size, size)

        def data() -> memoryview:
            values = make() / divisor
            return _bytes(values if len(shape) == 1 else square(values, size), "<f4")

        tensors.append(_Tensor(name, shape, "F32", data, 4 * int(np.prod(shape))))

    for layer in summed.layers:
        if layer.rows == 0:
            continue
        input_divisor, output_divisor = _divisors(summed, layer)
        add(f"{layer.name}.A", layer.input_size, layer.input_diagonal, input_divisor, layer.input_sum)
        add(f"{layer.name}.B", layer.output_size, layer.output_diagonal, output_divisor, layer.output_sum)
    for parameter in summed.parameters:
        add(f"{parameter.name}.F", parameter.size, False, per_probe, parameter.sum)
    balances = _balances(summed)
    strings: dict[str, str | None] = {"balance": text_of(balances) if balances else None}
    if joint_rows is not None:
        tensors += [_in_fp32(tensor) for tensor in joint_rows.tensors]
        strings["joint_rows"] = text_of(joint_rows.statement())
    strings |= {"format": "kfacd.factors/1", "storage": "packed" if packed else "full", "damping": "none"}
    write(path, SafetensorsFile(tensors, {**summed.strings(), **strings}))


def write_tensors(path: Path, tensors: Iterable[StoredTensor], strings: Mapping[str, str | None]) -> None:
    """Writes tensors in fp32 and metadata; what is none of these is left out."""
    write(path, SafetensorsFile([_in_fp32(tensor) for tensor in tensors], strings))


def _in_fp32(tensor: StoredTensor) -> _Tensor:
    size = 4 * int(np.prod(tensor.shape))
    return _Tensor(tensor.name, tensor.shape, "F32", lambda: _bytes(tensor.make(), "<f4"), size)


def _divisors(summed: Summed, layer: SummedLayer) -> tuple[int, int]:
    """Those of A and B; source: DESIGN section 2.1."""
    per_probe = summed.samples * summed.probes
    return (
        summed.samples if summed.normalization == "reduce" else layer.rows,
        layer.rows * summed.probes if summed.normalization == "tak" else per_probe,
    )


def _balances(summed: Summed) -> dict[str, float]:
    """The scalars that give B the exact traces, by layer; empty unless these were summed.

    Raises:
        OptionError: A layer has an exact trace, and tr(A) tr(B) is 0.
    """
    balances: dict[str, float] = {}
    for layer in summed.layers:
        if layer.exact_trace is None or layer.rows == 0:
            continue
        exact = layer.exact_trace / (summed.samples * summed.probes)
        input_divisor, output_divisor = _divisors(summed, layer)
        traces = _trace(layer.input_sum(), layer.input_diagonal) / input_divisor
        traces *= _trace(layer.output_sum(), layer.output_diagonal) / output_divisor
        if traces == 0 and exact > 0:
            raise OptionError(
                f'layer "{layer.name}" has the exact trace {exact}, but tr(A) tr(B) is 0, so no scalar balances it. '
                'Collect with normalization="expand", without balance=True, or leave the layer out.'
            )
        balances[layer.name] = exact / traces if traces > 0 else 1.0
    return balances


def _trace(values: Packed, diagonal: bool) -> float:
    """The trace of a packed lower triangle, or of a diagonal."""
    if diagonal:
        return float(values.sum())
    size = int((2 * values.size) ** 0.5)
    rows = np.arange(size)
    return float(values[rows * (rows + 3) // 2].sum())


def square(packed: Packed, size: int) -> Packed:
    """The symmetric matrix of a packed lower triangle."""
    matrix = np.zeros((size, size))
    lower = np.tril(np.ones((size, size), dtype=bool))
    matrix[lower] = packed
    upper = np.triu(matrix.T, 1)
    result: Packed = matrix + upper
    return result


def write(path: Path, content: SafetensorsFile) -> None:
    """Writes a file that appears whole or not at all.

    Raises:
        OSError: The file could not be written; nothing has appeared under the name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(unfinished, "wb") as file:
            for part in content.parts():
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def require_name(value: str, what: str) -> str:
    """Checks the name of a task or a run.

    Raises:
        OptionError: It cannot name a directory.
    """
    size = len(value.encode())
    wrong = any(character in "/\\" or ord(character) < 32 or ord(character) == 127 for character in value)
    if not 1 <= size <= 200 or wrong or value.startswith("."):
        raise OptionError(
            f'{what}="{value[:60]}" is no name; expected 1 to 200 bytes without "/", "\\", control characters and a '
            "leading dot."
        )
    return value


def _sync_directory(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        # Some systems open no directories; the file itself is on the disk.
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _bytes(values: Values, kind: str) -> memoryview:
    return np.ascontiguousarray(values.astype(kind, copy=False)).data.cast("B")


def text_of(value: object) -> str:
    """A value as the metadata of files have it."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
