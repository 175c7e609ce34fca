"""The penalty and its gradient, against the report of a job, Kronecker products and differences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cases import FULL, LAYERS, TASKS, checkpoint, report, trained
from penalties import ACCUMULATED, Jobs, file, penalty
from safetensors import safe_open
from safetensors.torch import load_file

from kfacd.symmetric import unpacked

FORMS = [
    ACCUMULATED,
    "regularizer: {form: accumulated, targets: leave_one_out, scale: mean}\npacked: true\n"
    'groups: [{layers: ["q", "norm.*"], strength: 3.5}]',
    "regularizer: {form: optimal, rank: 2, targets: leave_one_out}\npacked: true",
    "regularizer: {form: per_task, targets: leave_one_out}",
]


@pytest.mark.parametrize("form", FORMS, ids=["accumulated", "mean, packed, groups", "optimal", "per task"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_value_is_that_of_the_report(finished_job: Jobs, form: str, dtype: torch.dtype) -> None:
    root = finished_job(form)
    for task in TASKS:
        expected = report(root)["penalties"][task]
        pen = penalty(root, task, dtype, beta=7.0)
        found = pen.by_layer()
        assert found.keys() == expected.keys() == {*LAYERS, *FULL}
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-6), (task, name)
        assert pen().item() == pytest.approx(7 * sum(expected.values()), rel=1e-6)


def kronecker_penalty(root: Path, task: str) -> tuple[float, dict[str, torch.Tensor]]:
    """Ω and its gradient by explicit matrices vec(Δ)ᵀ (B ⊗ A) vec(Δ) in fp64, from the file's own numbers."""
    path = file(root, task)
    with safe_open(path, "pt") as handle:
        metadata = handle.metadata()
    raw = {name: tensor.double() for name, tensor in load_file(path).items()}
    diagonals = json.loads(metadata.get("diagonal", "[]"))
    after, before = checkpoint(root, task), checkpoint(root, "base")

    def square(name: str) -> torch.Tensor:
        if name in diagonals:
            return torch.diag(raw[name])
        return raw[name] if raw[name].ndim == 2 else unpacked(raw[name])

    total = 0.0
    gradients = {name: torch.zeros_like(tensor, dtype=torch.float64) for name, tensor in after.items()}
    for prefix in ("", "term2/"):
        for name, layer in LAYERS.items():
            if f"{prefix}{name}.A" not in raw:
                continue
            delta = layer.delta(after, before)
            matrix = torch.kron(square(f"{prefix}{name}.B"), square(f"{prefix}{name}.A"))
            total += float(delta.reshape(-1) @ matrix @ delta.reshape(-1))
            gradient = (2 * matrix @ delta.reshape(-1)).reshape(delta.shape)
            weight = gradient[:, : layer.d_in]
            weight = weight.T if layer.is_in_out else weight
            target = gradients[layer.weight]
            target = target if layer.index is None else target[layer.index]
            start, end = layer.rows or (0, target.shape[0])
            target[start:end] += weight.reshape(target[start:end].shape)
            if layer.bias is not None:
                start, end = layer.rows or (0, layer.d_out)
                gradients[layer.bias][start:end] += gradient[:, -1]
    for name in FULL:
        delta = (after[name].double() - before[name].double()).reshape(-1)
        total += float(delta @ square(f"{name}.F") @ delta)
        gradients[name] += (2 * square(f"{name}.F") @ delta).reshape(after[name].shape)
    return total, gradients


@pytest.mark.parametrize("form", FORMS[:3])
def test_value_and_gradient_are_those_of_the_whole_kronecker_products(finished_job: Jobs, form: str) -> None:
    root = finished_job(form)
    model = trained(root, "beta", torch.float64)
    expected, gradients = kronecker_penalty(root, "beta")
    value = penalty(root, "beta", model=model, beta=100.0)()
    assert value.item() == pytest.approx(100 * expected, rel=1e-12)
    torch.autograd.backward(value)
    for name, parameter in model.named_parameters():
        if name.startswith("unlisted"):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, 100 * gradients[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_that_of_finite_differences(finished_job: Jobs, form: str) -> None:
    model = trained(finished_job(form), "gamma", torch.float64)
    pen = penalty(finished_job(form), "gamma", model=model)
    torch.autograd.backward(pen())
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = []
        for step in (1e-3, -1e-3):
            with torch.no_grad():
                parameter.add_(step * direction)
                values.append(pen().item())
                parameter.sub_(step * direction)
        # A quadratic function has no error of differences.
        assert (values[0] - values[1]) / 2e-3 == pytest.approx(float((parameter.grad * direction).sum()), rel=1e-6), (
            name
        )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_adding_the_gradient_equals_autograd(finished_job: Jobs, form: str, dtype: torch.dtype) -> None:
    root = finished_job(form)
    by_graph, added = trained(root, "alpha", dtype), trained(root, "alpha", dtype)
    added.fc.weight.grad = torch.ones_like(added.fc.weight)
    by_graph.fc.weight.grad = torch.ones_like(by_graph.fc.weight)
    torch.autograd.backward(penalty(root, model=by_graph, beta=3.0)())
    penalty(root, model=added, beta=3.0).add_grad_()
    for name, parameter in by_graph.named_parameters():
        other = added.get_parameter(name)
        if parameter.grad is None or other.grad is None:
            assert parameter.grad is other.grad is None
            continue
        assert other.grad.dtype == dtype
        torch.testing.assert_close(
            other.grad, parameter.grad, rtol=1e-2 if dtype == torch.bfloat16 else 1e-6, atol=1e-6
        )


def test_frozen_parameters_get_no_gradient(finished_job: Jobs) -> None:
    model = trained(finished_job(ACCUMULATED), "alpha")
    model.q.weight.requires_grad_(False)
    pen = penalty(finished_job(ACCUMULATED), model=model)
    pen.add_grad_()
    torch.autograd.backward(pen())
    assert model.q.weight.grad is None
    assert model.q.bias.grad is not None


def test_every_third_call_has_three_times_the_penalty(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    once = penalty(root)().item()
    pen = penalty(root, every=3)
    assert [pen().item() for _ in range(6)] == pytest.approx([0, 0, 3 * once, 0, 0, 3 * once])
    model = trained(root, "alpha")
    adding = penalty(root, model=model, every=2)
    adding.add_grad_()
    assert model.fc.weight.grad is None
    adding.add_grad_()
    assert model.fc.weight.grad is not None


def test_the_penalty_at_the_base_is_zero_and_follows_a_state_dictionary_that_shares_memory(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    model = trained(root, "base")
    pen = penalty(root, model=model, base=model.state_dict())
    assert pen().item() == 0
    model.load_state_dict(checkpoint(root, "alpha"))
    assert pen().item() == pytest.approx(sum(report(root)["penalties"]["alpha"].values()), rel=1e-6)
    assert penalty(root, model=trained(root, "alpha"), base=None)().item() == 0


def test_autocast_does_not_round_the_penalty(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    pen = penalty(root, dtype=torch.float32)
    expected = pen().item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert pen().item() == expected
