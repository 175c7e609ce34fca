"""Writes tiny checkpoints, captures and partial sums of common architectures, and what kfacd must make of them.

The expected values are an independent computation in float64: rows sample by sample from autograd (sample_sums.py),
merges by dense solves (dense_merge.py). They share only the models with the captures (hooked_capture.py), which are
made by hooks on a float32 model, as a user makes them. Run it from the root of the repository:

    pip install torch transformers peft safetensors numpy
    python3 Tests/IntegrationTests/Fixtures/make_architectures.py Tests/IntegrationTests/Fixtures

The files were written by Python 3.11, PyTorch 2.15.0, transformers 5.24.0, PEFT 0.21.2, NumPy 2.4.6 and safetensors
0.8.0. For each architecture there are

    base, satellite, digits                 checkpoints, as directories of save_pretrained or as files
    captures/<task>.safetensors             kfacd.capture/1
    partials/<rank>.safetensors             kfacd.partials/1 of the first task, its samples shared among four ranks
    expected.safetensors                    what kfacd must compute

expected.safetensors holds, in float32 but computed in float64, for each task and normalization

    <task>/<normalization>/<layer>.A, .B    by the names of the base
    <task>/<normalization>/<parameter>.F
    merged/<normalization>/<tensor>         relative damping of 0.1, parameters without factors by the weighted mean

What equals the tensor under `tak`, up to the rounding of float64, is only there. The metadata have each task's
`samples`, its `rows` by layer, the normalization of the partial sums, the base's name of each captured layer and
parameter, and the layers that `reduce` leaves without curvature: their B is zero but for rounding, so jobs leave them
out. The job files beside them are written by hand.
"""

import argparse
import copy
import hashlib
import json
import logging
import shutil
import warnings
from pathlib import Path

import numpy as np
import torch
from architectures import PROBES, SAMPLES, Architecture, all_architectures
from dense_merge import merge
from hooked_capture import capture
from safetensors.numpy import load_file
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from sample_sums import SampleRows, Sums, factors, sample_rows, sums
from torch import Tensor

RANKS = 4
NORMALIZATIONS = ["tak", "expand", "reduce"]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def checkpoint(folder: Path, name: str) -> Path:
    """The only file of a checkpoint."""
    return next(path for path in (folder / name / "model.safetensors", folder / f"{name}.safetensors") if path.exists())


def packed(matrix: Tensor) -> Tensor:
    """The lower triangle, row by row."""
    rows, columns = torch.tril_indices(*matrix.shape)
    return matrix[rows, columns].contiguous()


def shares(count: int) -> list[range]:
    """The samples of each rank, the last of which has fewest."""
    size = -(-count // RANKS)
    return [range(rank * size, min((rank + 1) * size, count)) for rank in range(RANKS)]


class Task:
    """One task's data, its captured rows, and its rows in float64."""

    def __init__(self, architecture: Architecture, name: str, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.architecture, self.name, self.count = architecture, name, SAMPLES[name]
        batch = architecture.data(generator, self.count)
        with torch.no_grad():
            shape = architecture.outputs(architecture.module, batch).shape
        probes = torch.randn(shape[0], PROBES, *shape[1:], generator=generator)
        self.captured = capture(architecture, copy.deepcopy(architecture.module), batch, probes)

        def suffixed(suffix: str) -> set[str]:
            return {key.removesuffix(suffix) for key in self.captured if key.endswith(suffix)}

        self.layers, self.parameters = suffixed(".input"), suffixed(".grad")
        self.widths = {layer: (self.captured[layer + ".input"].shape[1], self.captured[layer + ".output_grad"].shape[1])
                       for layer in sorted(self.layers)}
        self.samples: list[SampleRows] = list(
            sample_rows(architecture, architecture.module, batch, probes, self.layers, self.parameters))

    def sums(self, normalization: str, biased: set[str], samples: range | None = None) -> Sums:
        part = self.samples if samples is None else [self.samples[index] for index in samples]
        return sums(part, normalization, self.widths, biased)

    def check(self) -> None:
        """Stops unless the captured rows are the rows of the samples, up to the rounding of float32.

        Their products are compared, because the rows of an expert may come in another order.
        """
        for layer in self.layers:
            rows = [sample.inputs[layer] for sample in self.samples if layer in sample.inputs]
            gradients = [sample.gradients[layer].flatten(0, 1) for sample in self.samples
                         if layer in sample.gradients]
            for kind, own in [("input", rows), ("output_grad", gradients)]:
                captured = self.captured[f"{layer}.{kind}"].double()
                assert len(captured) == sum(map(len, own)), (layer, kind)
                if own:
                    expected = torch.cat(own)
                    distance = (captured.T @ captured - expected.T @ expected).norm()
                    assert distance < 5e-6 * (expected.T @ expected).norm(), (
                        layer, kind, distance / (expected.T @ expected).norm())


def write_captures(task: Task, path: Path, base: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"format": "kfacd.capture/1", "task": task.name, "samples": str(task.count), "probes": str(PROBES),
                "sha256_base": base}
    save_file(task.captured, path, metadata)


def write_partials(task: Task, folder: Path, base: str, biased: set[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    normalization = task.architecture.normalization_of_partials
    for rank, samples in enumerate(shares(task.count)):
        own = task.sums(normalization, biased, samples)
        metadata = {"format": "kfacd.partials/1", "task": task.name, "run": "fixture", "rank": str(rank),
                    "sequence": "0", "rows": json.dumps(own.rows), "samples": str(own.samples),
                    "probes": str(PROBES), "normalization": normalization, "sha256_base": base,
                    "bias": json.dumps({layer: layer in biased for layer in task.widths})}
        save_file({name: packed(value) for name, value in own.values.items()},
                  folder / f"{rank}.safetensors", metadata)


def make(architecture: Architecture, folder: Path) -> None:
    for name in ("base", "captures", "partials", *SAMPLES):
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    architecture.save(copy.deepcopy(architecture.module), folder / "base")
    for seed, name in enumerate(SAMPLES):
        generator = torch.Generator().manual_seed(100 + seed)
        architecture.save(architecture.tune(architecture.module, generator), folder / name)
    base = digest(checkpoint(folder, "base"))

    tasks = [Task(architecture, name, 200 + seed) for seed, name in enumerate(SAMPLES)]
    modules = dict(architecture.module.named_modules())
    stored = dict(architecture.module.named_parameters())
    owners = {part: layer for layer, parts in architecture.parts.items() for part in parts}

    def has_bias(layer: str) -> bool:
        owner = owners.get(layer, layer)
        return owner + ".bias" in stored or owner + "_bias" in stored

    biased = {layer for layer in tasks[0].widths if has_bias(layer)}
    transposed = {layer for layer in tasks[0].widths if type(modules.get(layer)).__name__ == "Conv1D"}
    for task in tasks:
        task.check()
        write_captures(task, folder / "captures" / f"{task.name}.safetensors", base)
    write_partials(tasks[0], folder / "partials", base, biased)
    write_expected(architecture, tasks, folder, biased, transposed)


def flat_under_reduce(tasks: list[Task], biased: set[str]) -> list[str]:
    """The layers whose gradients cancel in the sum over a sample's rows, so that B of `reduce` is rounding alone.

    Softmax does not see a vector that is added to all keys. So the gradients of keys sum to zero, if positions enter
    elsewhere.
    """
    def trace(task: Task, layer: str, normalization: str) -> float:
        return task.sums(normalization, biased).values[layer + ".B"].trace().item()

    return [layer for layer in tasks[0].widths
            if all(trace(task, layer, "reduce") < 1e-20 * trace(task, layer, "expand") for task in tasks)]


def write_expected(architecture: Architecture, tasks: list[Task], folder: Path, biased: set[str],
                   transposed: set[str]) -> None:
    named = architecture.stored_names

    def renamed(key: str) -> str:
        name, _, side = key.rpartition(".")
        return f"{named(name)}.{side}"

    def read(name: str) -> dict[str, np.ndarray]:
        arrays = load_file(checkpoint(folder, name))
        return {key: value.astype(np.float64) for key, value in arrays.items()}

    base, tuned = read("base"), [read(task.name) for task in tasks]
    expected: dict[str, np.ndarray] = {}
    metadata = {"normalization_of_partials": architecture.normalization_of_partials}

    def add(group: str, normalization: str, values: dict[str, np.ndarray]) -> None:
        for name, value in values.items():
            first = expected.get(f"{group}/tak/{name}")
            if first is None or np.linalg.norm(first - value) > 1e-12 * np.linalg.norm(first):
                expected[f"{group}/{normalization}/{name}"] = value

    flat = flat_under_reduce(tasks, biased)
    captured = [*tasks[0].widths, *sorted(tasks[0].parameters)]
    metadata["stored_names"] = json.dumps({name: named(name) for name in captured})
    metadata["flat_under_reduce"] = json.dumps([named(layer) for layer in flat])
    for normalization in NORMALIZATIONS:
        found = []
        for task in tasks:
            total = task.sums(normalization, biased)
            found.append({renamed(key): value.numpy() for key, value in factors(total, normalization, PROBES).items()
                          if normalization != "reduce" or key.rpartition(".")[0] not in flat})
            add(task.name, normalization, found[-1])
            metadata[task.name] = json.dumps(
                {"samples": task.count, "rows": {named(layer): rows for layer, rows in total.rows.items()}})
        layers = [named(layer) for layer in tasks[0].widths]
        add("merged", normalization, merge(base, tuned, found, [task.count for task in tasks], layers,
                                           {named(layer) for layer in transposed}))
    save_arrays({name: value.astype(np.float32) for name, value in expected.items()},
                folder / "expected.safetensors", metadata)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the fixtures of common architectures.")
    parser.add_argument("output", type=Path, help="the directory of the fixtures")
    parser.add_argument("names", nargs="*", help="the architectures; all of them by default")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Full backward hook is firing")
    logging.disable(logging.WARNING)
    for architecture in all_architectures():
        if not arguments.names or architecture.name in arguments.names:
            make(architecture, arguments.output / architecture.name)
            size = sum(path.stat().st_size for path in (arguments.output / architecture.name).rglob("*.*"))
            print(f"{architecture.name}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
