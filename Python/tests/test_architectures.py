"""Factors of every architecture against an independent computation, sample by sample in fp64."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from architectures import ARCHITECTURES
from files import errors, stored
from libraries import LIBRARIES
from reference import Case, exact_traces, factors

import kfacd
from kfacd.probes import Probes
from kfacd.steps import Kind

PROBES = 2
CASES = {**ARCHITECTURES, **LIBRARIES}


def noise_of(case: Case, seed: int) -> list[torch.Tensor]:
    """The package's probes, cut to each sample's own length."""
    with torch.no_grad():
        batches = [(case.forward(case.model, inputs), mask) for inputs, mask in map(case.batch, halves(case))]
    draws: list[torch.Tensor] = []
    for output, mask in batches:
        keys = [str(len(draws) + index) for index in range(len(output))]
        roots = list(Probes("features", PROBES, seed).roots(output, keys, mask, None))
        draws += list(torch.stack([start for (_, start), _ in roots], dim=1))
    if case.length is not None:
        draws = [draw[:, : case.length(sample)] for draw, sample in zip(draws, case.samples, strict=True)]
    return draws


def halves(case: Case) -> list[list[dict[str, torch.Tensor]]]:
    return [case.samples[:2], case.samples[2:]]


@pytest.mark.parametrize("normalization", ["tak", "expand", "reduce"])
@pytest.mark.parametrize("architecture", CASES)
def test_factors_equal_the_sums_over_single_samples(architecture: str, normalization: Kind, tmp_path: Path) -> None:
    case = CASES[architecture]()
    case.model.eval()
    if case.reference_model is not None:
        case.reference_model.eval()
    before = copy.deepcopy(case.model.state_dict())
    options = {"layers": "*", **case.options}
    with kfacd.collect(
        case.model, task="t", probes=PROBES, seed=5, normalization=normalization, **options
    ) as collection:
        for part in halves(case):
            inputs, mask = case.batch(part)
            collection.step(case.forward(case.model, inputs), mask=mask)
    found, metadata = stored(collection.save(tmp_path))
    expected = factors(case, noise_of(case, 5), normalization)
    assert errors(found, expected, metadata) == {}
    assert all(parameter.grad is None for parameter in case.model.parameters())
    assert all(torch.equal(before[key], value.float()) for key, value in case.model.state_dict().items())


@pytest.mark.parametrize("normalization", ["tak", "expand", "reduce"])
@pytest.mark.parametrize("architecture", CASES)
def test_the_balance_gives_the_exact_trace(architecture: str, normalization: Kind, tmp_path: Path) -> None:
    case = CASES[architecture]()
    case.model.eval()
    if case.reference_model is not None:
        case.reference_model.eval()
    options = {"layers": "*", **case.options}
    with kfacd.collect(
        case.model, task="t", probes=PROBES, seed=5, normalization=normalization, balance=True, **options
    ) as collection:
        for part in halves(case):
            inputs, mask = case.batch(part)
            collection.step(case.forward(case.model, inputs), mask=mask)
    tensors, metadata = stored(collection.save(tmp_path))
    diagonals = json.loads(metadata.get("diagonal", "[]"))
    balances = json.loads(metadata["balance"])
    expected = exact_traces(case, noise_of(case, 5))
    assert balances.keys() == expected.keys()
    for name, balance in balances.items():
        sides = {f"{name}.{side}": tensors[f"{name}.{side}"].double() for side in "AB"}
        traces = [value.sum() if side in diagonals else value.trace() for side, value in sides.items()]
        # Under `reduce` keys of softmax attention have no curvature, and B holds rounding.
        assert float(balance * traces[0] * traces[1]) == pytest.approx(float(expected[name]), rel=1e-4, abs=1e-9), name
