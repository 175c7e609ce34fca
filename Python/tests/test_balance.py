"""Exact traces in files, beside the sums that they belong to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from files import stored
from torch import Tensor, nn

import kfacd


class Difference(nn.Module):
    """The difference of a layer's outputs at two positions, whose gradients cancel in their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, rows: Tensor) -> Tensor:
        first, second = self.layer(rows).unbind(1)
        return first - second  # type: ignore[no-any-return]


def trace(packed: Tensor) -> float:
    size = int((2 * packed.numel()) ** 0.5)
    return float(sum(packed[row * (row + 3) // 2] for row in range(size)))


def test_files_state_exact_traces_only_when_asked(tmp_path: Path) -> None:
    model, rows = nn.Sequential(nn.Linear(3, 2)), torch.randn(6, 4, 3)
    for balance in (False, True):
        with kfacd.collect(model, task="t", run="r", balance=balance) as collection:
            collection.step(model(rows))
            _, factors = stored(collection.save(tmp_path / str(balance)))
            _, partials = stored(collection.save_partials(tmp_path / str(balance)))
        assert ("balance" in factors, "exact_trace" in partials) == (balance, balance)


def test_partial_sums_add_up_to_the_balance_of_factors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, rows = nn.Sequential(nn.Linear(3, 2)), torch.randn(6, 4, 3)
    with kfacd.collect(model, task="t", balance=True) as collection:
        collection.step(model(rows))
    _, factors = stored(collection.save(tmp_path))
    with kfacd.collect(model, task="t", run="r", balance=True) as collection:
        files = []
        for part in rows.split(4):
            collection.step(model(part))
            files.append(stored(collection.save_partials(tmp_path)))
    assert all(
        metadata["rows"] == json.dumps({"0": count}, separators=(",", ":"))
        for (_, metadata), count in zip(files, [16, 8], strict=True)
    )
    exact = sum(json.loads(metadata["exact_trace"])["0"] for _, metadata in files) / (6 * 2)
    traces = sum(trace(tensors["0.A"]) for tensors, _ in files) / 24
    traces *= sum(trace(tensors["0.B"]) for tensors, _ in files) / (24 * 2)
    assert json.loads(factors["balance"])["0"] == pytest.approx(exact / traces, rel=1e-5)


def test_a_trace_that_no_scalar_gives_is_refused(tmp_path: Path) -> None:
    model = Difference()
    with kfacd.collect(model, task="t", normalization="reduce", balance=True, probes="exact") as collection:
        collection.step(model(torch.eye(3).expand(2, 3, 3)[:, :2]))
    with pytest.raises(kfacd.OptionError) as caught:
        collection.save(tmp_path)
    assert str(caught.value) == (
        'layer "layer" has the exact trace 4.0, but tr(A) tr(B) is 0, so no scalar balances it. '
        'Collect with normalization="expand", without balance=True, or leave the layer out.'
    )
