"""Compute the outputs of a kfacd job in NumPy or PyTorch, to compare with.

    OMP_NUM_THREADS=2 python3 Benchmarks/peers.py --peer numpy --base base.safetensors --captures DIR --output DIR
    OMP_NUM_THREADS=2 python3 Benchmarks/peers.py --peer torch ... --inverses --compare OUTPUT_OF_KFACD

A peer is the short program that a user would write without kfacd. It reads the same captures and writes the same files:

    numpy    one product XᵀX in fp32 for each factor; NumPy calls the routine syrk of its BLAS
    torch    the same product by torch's matmul
    batches  aᵀ (a / n) for each batch of 32 samples, summed in fp32: in the style of the hooks of kfac-pytorch and
             curvlinops, which see one batch at a time. Neither takes captures, so neither is called.

`--captures` names a directory of captures in fp32, one file for each task. The conventions are the defaults of kfacd:
factors are divided by the rows, the regularizer is that of eq. 8 in scale `paper`, and the damping is `relative` with
0.1. `--inverses` also writes the regularizer of each task and its inverse, from sums in fp64. The inverse is the
library's, in fp64: NumPy's `inv`, or torch's Cholesky factor and its inverse.

Rows are read one tensor at a time. The file is opened anew for each, so that the mapped pages of others do not count as
memory. Files are made durable, as those of kfacd are. PyTorch and NumPy both read the number of threads from
OMP_NUM_THREADS.

Prints one line of JSON: the seconds from the start of the process to its last file, those of each phase, the largest
resident set in MiB, and with `--compare` the largest relative difference of a matrix from that of kfacd, ‖x − y‖ / ‖y‖.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

if TYPE_CHECKING:
    import torch

    Array = TypeVar("Array", NDArray[Any], torch.Tensor)
else:
    Array = TypeVar("Array")

DAMPING = 0.1
BATCH_SAMPLES = 32


@dataclass
class PhaseClock:
    """The seconds of each phase."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("read", "compute", "write", "sync"), 0.0))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time of a block to a phase."""
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


@dataclass
class Capture:
    """The captured rows of a task."""

    path: Path
    samples: int
    # The tensors of rows by the names of their factors.
    sources: dict[str, str]
    # The factors whose rows end with the one of a bias.
    biased: set[str]

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.path.stem

    @classmethod
    def opened(cls, path: Path, layers_with_bias: set[str]) -> Capture:
        """Reads the header of a capture."""
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            samples = int(file.metadata()["samples"])
        sources = {}
        for name in names:
            layer, _, kind = name.rpartition(".")
            sources[f"{layer}.{'A' if kind == 'input' else 'B'}"] = name
        return cls(path, samples, sources, {f"{layer}.A" for layer in layers_with_bias} & sources.keys())


class Peer(ABC, Generic[Array]):
    """What differs between the libraries. A factor is [d, d] in fp32, and sums are in fp64."""

    # The library's name for safe_open.
    framework: ClassVar[str]

    @property
    @abstractmethod
    def version(self) -> str:
        """The library and its version."""

    @abstractmethod
    def factor(self, rows: Array, appends_one: bool, batch: int) -> Array:
        """The mean of x xᵀ over the rows x; `batch` is the number of rows that a hook sees at a time."""

    @abstractmethod
    def wide(self, matrix: Array) -> Array:
        """A copy in fp64."""

    @abstractmethod
    def narrow(self, matrix: Array) -> Array:
        """The matrix in fp32."""

    @abstractmethod
    def inverse(self, matrix: Array) -> Array:
        """The inverse of a matrix with damping, in fp64."""

    @abstractmethod
    def save(self, tensors: dict[str, Array], path: Path, metadata: dict[str, str]) -> None:
        """Writes a safetensors file."""

    def read(self, path: Path, tensor: str) -> Array:
        """Reads a tensor from a file that is opened for it alone."""
        with safe_open(path, framework=self.framework) as file:
            tensor_of_file: Array = file.get_tensor(tensor)
        return tensor_of_file


class NumPyPeer(Peer["NDArray[Any]"]):
    """A product for each factor in NumPy."""

    framework = "numpy"

    @property
    def version(self) -> str:
        """The library and its version."""
        return f"NumPy {np.__version__}"

    def factor(self, rows: NDArray[Any], appends_one: bool, batch: int) -> NDArray[Any]:
        """The product of all rows at once; the one of a bias is a border of their sums."""
        product: NDArray[Any] = rows.T @ rows
        if appends_one:
            columns = len(product)
            bordered = np.empty((columns + 1, columns + 1), np.float32)
            bordered[:columns, :columns] = product
            bordered[columns, :columns] = bordered[:columns, columns] = rows.sum(axis=0)
            bordered[columns, columns] = len(rows)
            product = bordered
        product /= len(rows)
        return product

    def wide(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """A copy in fp64."""
        return matrix.astype(np.float64)

    def narrow(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """The matrix in fp32."""
        return matrix.astype(np.float32)

    def inverse(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """NumPy has no inverse for symmetric matrices."""
        damped = matrix.copy()
        damped.flat[:: len(matrix) + 1] += DAMPING * matrix.trace() / len(matrix)
        inverse: NDArray[Any] = np.linalg.inv(damped)
        return inverse

    def save(self, tensors: dict[str, NDArray[Any]], path: Path, metadata: dict[str, str]) -> None:
        """Writes a safetensors file."""
        from safetensors.numpy import save_file

        save_file(tensors, path, metadata)


class TorchPeer(Peer["torch.Tensor"]):
    """A product for each factor in PyTorch."""

    framework = "pt"

    @property
    def version(self) -> str:
        """The library and its version."""
        import torch

        return f"PyTorch {torch.__version__}"

    def factor(self, rows: torch.Tensor, appends_one: bool, batch: int) -> torch.Tensor:
        """The product of all rows at once; the one of a bias is a border of their sums."""
        product = rows.T @ rows
        if appends_one:
            columns = len(product)
            bordered = rows.new_empty(columns + 1, columns + 1)
            bordered[:columns, :columns] = product
            bordered[columns, :columns] = bordered[:columns, columns] = rows.sum(0)
            bordered[columns, columns] = len(rows)
            product = bordered
        return product.div_(len(rows))

    def wide(self, matrix: torch.Tensor) -> torch.Tensor:
        """A copy in fp64."""
        return matrix.double()

    def narrow(self, matrix: torch.Tensor) -> torch.Tensor:
        """The matrix in fp32."""
        return matrix.float()

    def inverse(self, matrix: torch.Tensor) -> torch.Tensor:
        """The inverse from a Cholesky factor."""
        import torch

        damped = matrix.clone()
        damped.diagonal().add_(DAMPING * matrix.trace() / len(matrix))
        return torch.cholesky_inverse(torch.linalg.cholesky(damped))

    def save(self, tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
        """Writes a safetensors file."""
        from safetensors.torch import save_file

        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)


class BatchPeer(TorchPeer):
    """A product for each batch of samples in PyTorch, as hooks make it in training."""

    def factor(self, rows: torch.Tensor, appends_one: bool, batch: int) -> torch.Tensor:
        """The mean of the batches' means, each weighted by its rows."""
        columns = rows.shape[1] + appends_one
        factor = rows.new_zeros(columns, columns)
        for part in rows.split(batch):
            a = with_ones(part) if appends_one else part
            factor += (a.T @ (a / len(a))) * (len(a) / len(rows))
        return factor


def with_ones(rows: torch.Tensor) -> torch.Tensor:
    """The rows with the one of a bias as the last column."""
    import torch

    return torch.cat([rows, rows.new_ones(len(rows), 1)], 1)


PEERS: dict[str, type[NumPyPeer] | type[TorchPeer]] = {"numpy": NumPyPeer, "torch": TorchPeer, "batches": BatchPeer}


@dataclass
class Job(Generic[Array]):
    """A job of kfacd, computed by a peer."""

    peer: Peer[Array]
    captures: list[Capture]
    output: Path
    clock: PhaseClock

    def write_factors(self) -> None:
        """Writes the factors of each task."""
        for capture in self.captures:
            factors: dict[str, Array] = {}
            for name, source in capture.sources.items():
                with self.clock.phase("read"):
                    rows = self.peer.read(capture.path, source)
                with self.clock.phase("compute"):
                    batch = max(1, BATCH_SAMPLES * len(rows) // capture.samples)
                    factors[name] = self.peer.factor(rows, name in capture.biased, batch)
            self.save(factors, "factors", capture.task)

    def write_inverses(self) -> None:
        """Writes the regularizer of each task, from the factors of all others, and its inverse."""
        totals: dict[str, Array] = {}
        for capture in self.captures:
            for name in capture.sources:
                share = self.share(capture, name)
                totals[name] = totals[name] + share if name in totals else share
        samples = sum(capture.samples for capture in self.captures)
        for capture in self.captures:
            regularizer: dict[str, Array] = {}
            inverses: dict[str, Array] = {}
            for name, total in totals.items():
                share = self.share(capture, name)
                with self.clock.phase("compute"):
                    rest = total - share
                    if name.endswith(".A"):
                        rest /= samples - capture.samples
                    regularizer[name] = self.peer.narrow(rest)
                    inverses[f"{name}_inv"] = self.peer.narrow(self.peer.inverse(rest))
            self.save(regularizer, "regularizer", capture.task)
            self.save(inverses, "inverses", capture.task)

    def share(self, capture: Capture, name: str) -> Array:
        """A task's term in the sums of eq. 8 over tasks, without the division by the samples of all."""
        with self.clock.phase("read"):
            factor = self.peer.read(self.file("factors", capture.task), name)
        with self.clock.phase("compute"):
            share = self.peer.wide(factor)
            if name.endswith(".A"):
                share *= capture.samples
        return share

    def file(self, kind: str, task: str) -> Path:
        """The path of a file, as kfacd names it."""
        return self.output / kind / task / f"{kind}.safetensors"

    def save(self, matrices: dict[str, Array], kind: str, task: str) -> None:
        """Writes a file and makes it durable."""
        path = self.file(kind, task)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.clock.phase("write"):
            key = "task" if kind == "factors" else "target"
            self.peer.save(matrices, path, {"format": f"kfacd.{kind}/1", key: task})
        with self.clock.phase("sync"), path.open("rb") as file:
            os.fsync(file.fileno())


def largest_difference(output: Path, reference: Path) -> float:
    """The largest ‖x − y‖ / ‖y‖ of a matrix x of the output and y of the reference."""
    largest = 0.0
    for path in sorted(output.glob("*/*/*.safetensors")):
        theirs = reference / path.relative_to(output)
        with safe_open(path, framework="numpy") as file, safe_open(theirs, framework="numpy") as other:
            for name in file.keys():  # noqa: SIM118
                expected = other.get_tensor(name)
                difference = np.linalg.norm(file.get_tensor(name) - expected) / np.linalg.norm(expected)
                largest = max(largest, float(difference))
    return largest


def peak_mebibytes() -> int:
    """The largest resident set of this process so far."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) >> 10


def process_seconds() -> float:
    """The seconds since this process began; the kernel notes its start in ticks, usually of 10 ms."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Runs a peer and prints its times."""
    parser = argparse.ArgumentParser(description="Compute the outputs of a kfacd job in NumPy or PyTorch.")
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--base", type=Path, required=True, help="the base model, whose biases decide about ones")
    parser.add_argument("--captures", type=Path, required=True, help="a directory with a capture of each task")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--inverses", action="store_true", help="also write regularizers and their inverses")
    parser.add_argument("--compare", type=Path, help="the output directory of kfacd")
    arguments = parser.parse_args()

    peer: Peer[Any] = PEERS[arguments.peer]()
    version = peer.version
    with safe_open(arguments.base, framework="numpy") as base:
        biased = {name.removesuffix(".bias") for name in base.keys() if name.endswith(".bias")}  # noqa: SIM118
    paths = sorted(arguments.captures.glob("*.safetensors"))
    if not paths:
        parser.error(f"{arguments.captures} has no capture; expected a file *.safetensors for each task")
    clock = PhaseClock()
    start = process_seconds()
    job = Job(peer, [Capture.opened(path, biased) for path in paths], arguments.output, clock)
    job.write_factors()
    if arguments.inverses:
        job.write_inverses()
    result: dict[str, object] = {
        "peer": arguments.peer,
        "version": version,
        "wall_seconds": process_seconds(),
        "start_seconds": start,
        **{f"{phase}_seconds": seconds for phase, seconds in clock.seconds.items()},
        "peak_mebibytes": peak_mebibytes(),
    }
    if arguments.compare is not None:
        result["largest_difference"] = largest_difference(arguments.output, arguments.compare)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
