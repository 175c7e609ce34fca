"""The covariance matrices of pomonam/kronfluence (884255f): four safetensors files in ``factors_NAME``.

``activation_covariance`` and ``gradient_covariance`` hold Σ ã ãᵀ and Σ g gᵀ over all rows, by module. Their numbers of
rows, without padding, are ``num_activation_covariance_processed`` and ``num_gradient_covariance_processed``, [1],
int64. So A and B are the quotients, in the convention ``tak`` with one probe: the gradient is that of the sum of the
losses, with labels that are sampled from the model (or given, in its empirical mode). A convolution's rows are those of
im2col.

Source: kronfluence/factor/covariance.py, module/linear.py, module/conv2d.py and computer/factor_computer.py there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from kfacd.caches.factor_set import FactorSet, write_whole
from kfacd.problems import InputError, listed
from kfacd.tensor_files import opened

_INPUT, _GRADIENT = "activation_covariance", "gradient_covariance"
_INPUT_COUNT, _GRADIENT_COUNT = "num_activation_covariance_processed", "num_gradient_covariance_processed"


def read(directory: Path, *, task: str, samples: int | None, bias: Mapping[str, bool]) -> FactorSet:
    """Reads the four files; see :func:`kfacd.caches.read`."""
    files = {name: directory / f"{name}.safetensors" for name in (_INPUT, _GRADIENT, _INPUT_COUNT, _GRADIENT_COUNT)}
    if missing := [file for file in files.values() if not file.exists()]:
        parts = " It holds partitions; let kronfluence aggregate them." if list(directory.glob("*_partition*")) else ""
        raise InputError(f"{missing[0]}: there is no such file; expected kronfluence's directory factors_NAME.{parts}")
    raw = {name: _tensors(file) for name, file in files.items()}
    layers = sorted(raw[_INPUT])
    problems = [
        f"{files[name]}: it lacks {listed(sorted(set(layers) - set(tensors)))}, which {_INPUT} has."
        for name, tensors in raw.items()
        if not set(tensors) >= set(layers)
    ]
    if problems:
        raise InputError(problems)
    rows = {layer: int(raw[_INPUT_COUNT][layer].item()) for layer in layers}
    gradient_rows = {layer: int(raw[_GRADIENT_COUNT][layer].item()) for layer in layers}
    problems = [
        f"{directory}: {layer} has {rows[layer]} rows of inputs and {gradient_rows[layer]} of gradients; expected at "
        "least 1 of each."
        for layer in layers
        if rows[layer] < 1 or gradient_rows[layer] < 1
    ]
    if problems:
        raise InputError(problems)
    number = _samples(directory) if samples is None else samples
    return FactorSet(
        task=task,
        normalization="tak",
        samples=number,
        a={layer: raw[_INPUT][layer].double() / rows[layer] for layer in layers},
        b={layer: raw[_GRADIENT][layer].double() / gradient_rows[layer] for layer in layers},
        rows=rows,
        # Both of its kinds of layers, Linear and Conv2d.
        layout={layer: "out_in" for layer in layers},
        bias={layer: bias[layer] for layer in layers if layer in bias},
    ).checked(str(directory))


def write(directory: Path, factors: FactorSet) -> list[Path]:
    """Writes the four files; see :func:`kfacd.caches.write`."""
    factors = factors.as_tak()
    problems = [f"{name}: kronfluence has no factors of parameters outside layers." for name in factors.f]
    problems += [f"{layer}: kronfluence has no parts of layers." for layer in factors.a if "[" in layer]
    problems += factors.diagonal_problems("kronfluence")
    problems += [
        f"{layer}: its weight is stored as [d_in, d_out]; kronfluence has Linear and Conv2d alone."
        for layer, layout in factors.layout.items()
        if layout == "in_out"
    ]
    if problems:
        raise InputError(problems)
    # Only the quotients matter to it, so the samples stand for rows that are not known.
    rows = {layer: factors.rows.get(layer) or factors.samples for layer in factors.a}
    counts = {layer: torch.tensor([count]) for layer, count in rows.items()}
    contents = {
        _INPUT: {layer: (tensor.double() * rows[layer]).float() for layer, tensor in factors.a.items()},
        _GRADIENT: {layer: (tensor.double() * rows[layer]).float() for layer, tensor in factors.b.items()},
        _INPUT_COUNT: counts,
        _GRADIENT_COUNT: counts,
    }
    return [
        write_whole(directory / f"{name}.safetensors", lambda file, tensors=tensors: save_file(tensors, file))
        for name, tensors in contents.items()
    ]


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    with opened(file) as handle:
        return {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118


def _samples(directory: Path) -> int:
    """N: the size of the data set, cut at the program's limit."""
    try:
        size = int(json.loads((directory / "covariance_dataset_metadata.json").read_text())["dataset_size"])
        limit = json.loads((directory / "factor_arguments.json").read_text()).get("covariance_max_examples")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{directory}: the number of samples is not stated; expected covariance_dataset_metadata.json and "
            "factor_arguments.json. Give samples."
        ) from error
    return size if limit is None else min(size, int(limit))
