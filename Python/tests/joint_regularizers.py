"""Regularizers of the form `pseudo_rows`, and their Ω in fp64, for the tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from cases import FULL, LAYERS
from safetensors.torch import save_file
from torch import Tensor

RANKS = (3, 5)


def metadata(floor: str, ranks: tuple[int, int] = RANKS) -> dict[str, str]:
    return {
        "format": "kfacd.regularizer/1",
        "target": "all",
        "form": "pseudo_rows",
        "scale": "paper",
        "normalization": "expand",
        "ranks": json.dumps({"inputs": ranks[0], "gradients": ranks[1]}),
        "kept": json.dumps({"inputs": 0.75, "gradients": 0.5}),
        "floor": floor,
    }


def contents(has_factors: bool) -> dict[str, Tensor]:
    """Random rows of every block of the zoo, and factors that hold more than the rows."""
    tensors: dict[str, Tensor] = {"input_rows": torch.randn(RANKS[0]), "input_squares": torch.ones(1)}
    for index, (name, layer) in enumerate(LAYERS.items()):
        positions = 1 + index % 3
        width = layer.d_in + (layer.bias is not None)
        u = torch.randn(RANKS[0], positions, width)
        v = torch.randn(RANKS[1], positions, layer.d_out)
        tensors |= {f"{name}.input_rows": u, f"{name}.gradient_rows": v}
        tensors |= {f"{name}.input_squares": torch.rand(positions), f"{name}.gradient_squares": torch.rand(positions)}
        if has_factors:
            tensors[f"{name}.A"] = gram(u) / positions + gram(torch.randn(2, width))
            tensors[f"{name}.B"] = gram(v) + gram(torch.randn(2, layer.d_out))
    for name in FULL:
        v = torch.randn(RANKS[1], 4)
        tensors |= {f"{name}.gradient_rows": v, f"{name}.gradient_squares": torch.rand(1)}
        if has_factors:
            tensors[f"{name}.F"] = tensors["input_rows"].square().sum() * gram(v) + gram(torch.randn(2, 4))
    return tensors


def gram(rows: Tensor) -> Tensor:
    flat = rows.flatten(0, -2)
    square = flat.T @ flat
    # BLAS may round the two triangles differently.
    return (square + square.T) / 2


def write(path: Path, floor: str) -> dict[str, Tensor]:
    tensors = contents(floor != "none")
    save_file(tensors, path, metadata(floor))
    return tensors


def omega(tensors: Mapping[str, Tensor], deltas: Mapping[str, Tensor], floor: str) -> Tensor:
    """Ω as DESIGN section 2.2 writes it, one row after the other.

    Args:
        tensors: Of the file.
        deltas: [d_out, d_in] of each layer, [d] of each parameter.
        floor: Of the metadata.
    """
    wide = {name: tensor.double() for name, tensor in tensors.items()}
    u1 = wide.get("input_rows")
    total = torch.zeros((), dtype=torch.float64)
    ranks = [len(next(t for n, t in wide.items() if n.endswith(f".{side}_rows"))) for side in ("input", "gradient")]
    for s in range(ranks[1]):
        for r in range(ranks[0]):
            drift = torch.zeros((), dtype=torch.float64)
            for name, delta in deltas.items():
                v = wide[f"{name}.gradient_rows"][s]
                if delta.ndim == 1:
                    assert u1 is not None
                    drift = drift + u1[r] * (v @ delta)
                else:
                    drift = drift + sum(g @ delta @ a for g, a in zip(v, wide[f"{name}.input_rows"][r], strict=True))
            total = total + drift.square()
    for name, delta in deltas.items():
        for weight, matrix in floor_terms(wide, name, floor):
            total = total + weight * delta.reshape(-1) @ matrix @ delta.reshape(-1)
    return total


def floor_terms(wide: Mapping[str, Tensor], name: str, floor: str) -> list[tuple[float, Tensor]]:
    """The whole matrices of a block's floor, over the elements of Δ row by row, with their weights."""
    if floor == "none":
        return []
    is_layer = f"{name}.A" in wide
    factors = torch.kron(wide[f"{name}.B"], wide[f"{name}.A"]) if is_layer else wide[f"{name}.F"]
    if floor != "complement":
        return [(float(floor), factors)]
    v = wide[f"{name}.gradient_rows"]
    if not is_layer:
        return [(1.0, factors), (-float(wide["input_rows"].square().sum()), gram(v))]
    u = wide[f"{name}.input_rows"]
    return [(1.0, factors), (-1.0, torch.kron(gram(v), gram(u) / u.shape[1]))]


def leading(rows: list[Tensor], weights: list[Tensor], rank: int) -> tuple[Tensor, float]:
    """Qᵀ, and the share of the trace, by a singular value decomposition of the weighted rows."""
    least = 1e-8 * max(float(each.max()) for each in weights)
    weighted = [x * w.clamp_min(least).sqrt().unsqueeze(-1) for x, w in zip(rows, weights, strict=True)]
    left, values, _ = torch.linalg.svd(torch.cat([each.flatten(1) for each in weighted], dim=1), full_matrices=False)
    return left[:, :rank].T, float(values[:rank].square().sum() / values.square().sum())
