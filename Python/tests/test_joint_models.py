"""Joint rows of one sample through the whole package, against the drift ‖J τ‖² of several kinds of models."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import kfacd


class Attention(nn.Module):
    """Queries of some rows, and keys and values of the same or of others."""

    def __init__(self, is_cross: bool) -> None:
        super().__init__()
        self.is_cross = is_cross
        self.other = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        other = torch.tanh(self.other(rows))
        keys = other if self.is_cross else rows
        attended: Tensor = self.attention(rows if self.is_cross else other, keys, keys, need_weights=False)[0]
        output: Tensor = self.head(attended.mean(dim=1))
        return output


class Encoder(nn.Module):
    """A block of attention, a normalisation and an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))

    def forward(self, rows: Tensor) -> Tensor:
        rows = torch.tanh(self.first(rows))
        rows = rows + self.attention(rows, rows, rows, need_weights=False)[0]
        output: Tensor = self.mlp(self.norm(rows)).mean(dim=1)
        return output


def transposed() -> nn.Module:
    from transformers.pytorch_utils import Conv1D

    return nn.Sequential(Conv1D(4, 4), nn.Tanh(), Conv1D(4, 4), nn.Flatten(), nn.Linear(20, 3))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "attention to itself": Encoder,
    "attention to other rows": lambda: Attention(is_cross=True),
    "queries of other rows": lambda: Attention(is_cross=False),
    "weights stored as [d_in, d_out]": transposed,
}


@pytest.mark.parametrize("kind", MODELS)
def test_of_one_sample_the_penalty_is_the_drift(tmp_path: Path, kind: str) -> None:
    model, rows = MODELS[kind]().eval(), torch.randn(1, 5, 4)
    norms = [name for name, _ in model.named_parameters() if name.startswith("norm")]
    with kfacd.collect(
        model, task="t", normalization="expand", parameters=norms, probes="exact", joint_rows=(9, 9)
    ) as collection:
        collection.step(model(rows))
    file = collection.save(tmp_path)
    base = {name: value.clone() for name, value in model.state_dict().items()}
    wide = copy.deepcopy(model).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    names = [name for name, _ in wide.named_parameters()]
    start = tuple(p.detach() for p in wide.parameters())
    change = tuple(p.detach().double() - base[name].double() for name, p in model.named_parameters())
    # The kernel of fused attention has no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        drift = torch.autograd.functional.jvp(
            lambda *values: torch.func.functional_call(wide, dict(zip(names, values, strict=True)), (rows.double(),)),
            start,
            change,
        )[1]
    for floor in ("none", "complement"):
        path = kfacd.accumulate_joint_rows([file], tmp_path / floor, floor=floor)
        penalty = kfacd.Penalty(path, model, base=base)
        # One sample's factors are what its rows hold, so nothing is left of them for the floor.
        tolerance = 1e-5 if floor == "none" else 1e-4
        assert penalty().item() == pytest.approx(drift.square().sum().item(), rel=tolerance)
