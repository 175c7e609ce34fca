"""The penalty of joint rows and its gradient, against sums over rows in fp64 and differences."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from cases import FULL, LAYERS, Zoo, tensors
from joint_regularizers import metadata, omega, write
from penalties import adapted_model
from safetensors.torch import save_file
from torch import Tensor, nn

import kfacd
from kfacd import joint_rows

FLOORS = ["none", "complement", "0.3"]


def zoo(dtype: torch.dtype) -> tuple[Zoo, dict[str, Tensor]]:
    """A trained model, and the state dictionary of its base."""
    base = Zoo().to(dtype)
    model = copy.deepcopy(base)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model, tensors(base)


def deltas(model: nn.Module, base: dict[str, Tensor]) -> dict[str, Tensor]:
    after = tensors(model)
    found = {name: layer.delta(after, base) for name, layer in LAYERS.items()}
    return found | {name: (after[name].double() - base[name].double()).reshape(-1) for name in FULL}


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_value_is_the_sum_over_all_pairs_of_rows(tmp_path: Path, floor: str, dtype: torch.dtype) -> None:
    stored = write(tmp_path / "r.safetensors", floor)
    model, base = zoo(dtype)
    expected = float(omega(stored, deltas(model, base), floor))
    pen = kfacd.Penalty(tmp_path / "r.safetensors", model, base=base, beta=7.0)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert pen().item() == pytest.approx(7 * expected, rel=tolerance)
    assert pen().item() == pytest.approx(7 * expected, rel=tolerance), "the complement is made once"
    shares = pen.by_layer()
    assert shares.keys() == {*LAYERS, *FULL}
    assert sum(shares.values()) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("floor", FLOORS)
def test_the_gradient_is_that_of_finite_differences(tmp_path: Path, floor: str) -> None:
    write(tmp_path / "r.safetensors", floor)
    model, base = zoo(torch.float64)
    pen = kfacd.Penalty(tmp_path / "r.safetensors", model, base=base)
    torch.autograd.backward(pen())
    for name, parameter in model.named_parameters():
        if name.startswith("unlisted"):
            assert parameter.grad is None
            continue
        assert parameter.grad is not None
        direction = torch.randn_like(parameter)
        values = []
        for step in (1e-3, -1e-3):
            with torch.no_grad():
                parameter.add_(step * direction)
                values.append(pen().item())
                parameter.sub_(step * direction)
        # A quadratic function has no error of differences.
        assert (values[0] - values[1]) / 2e-3 == pytest.approx(float((parameter.grad * direction).sum()), rel=1e-8)


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_adding_the_gradient_equals_autograd(tmp_path: Path, floor: str, dtype: torch.dtype) -> None:
    write(tmp_path / "r.safetensors", floor)
    by_graph, base = zoo(dtype)
    added = copy.deepcopy(by_graph)
    torch.autograd.backward(kfacd.Penalty(tmp_path / "r.safetensors", by_graph, base=base, beta=3.0)())
    kfacd.Penalty(tmp_path / "r.safetensors", added, base=base, beta=3.0).add_grad_()
    for name, parameter in by_graph.named_parameters():
        other = added.get_parameter(name)
        if parameter.grad is None or other.grad is None:
            assert parameter.grad is other.grad is None
            continue
        assert other.grad.dtype == dtype
        tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-6
        torch.testing.assert_close(other.grad, parameter.grad, rtol=tolerance, atol=1e-6)


def test_products_in_parts_are_those_of_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "r.safetensors", "complement")
    model, base = zoo(torch.float64)
    whole = kfacd.Penalty(tmp_path / "r.safetensors", model, base=base)
    value = whole()
    torch.autograd.backward(value)
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    monkeypatch.setattr(joint_rows, "_CHUNK_ELEMENTS", 1)
    model.zero_grad()
    parts = kfacd.Penalty(tmp_path / "r.safetensors", model, base=base)()
    torch.autograd.backward(parts)
    assert parts.item() == pytest.approx(value.item(), rel=1e-12)
    for name, gradient in gradients.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, rtol=1e-10, atol=1e-12)


def test_every_second_call_has_twice_the_penalty(tmp_path: Path) -> None:
    write(tmp_path / "r.safetensors", "complement")
    model, base = zoo(torch.float64)
    once = kfacd.Penalty(tmp_path / "r.safetensors", model, base=base)().item()
    pen = kfacd.Penalty(tmp_path / "r.safetensors", model, base=base, every=2)
    assert [pen().item() for _ in range(4)] == pytest.approx([0, 2 * once, 0, 2 * once])


def test_a_sharded_set_is_the_file(tmp_path: Path) -> None:
    stored = write(tmp_path / "r.safetensors", "complement")
    model, base = zoo(torch.float64)
    expected = kfacd.Penalty(tmp_path / "r.safetensors", model, base=base)().item()
    directory = tmp_path / "set"
    directory.mkdir()
    places = {name: f"regularizer-{1 + index % 2}.safetensors" for index, name in enumerate(sorted(stored))}
    for file in set(places.values()):
        part = {name: tensor for name, tensor in stored.items() if places[name] == file}
        save_file(part, directory / file, metadata("complement"))
    (directory / "regularizer.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert kfacd.Penalty(directory, model, base=base)().item() == pytest.approx(expected, rel=1e-12)


def test_adapters_get_the_gradient(tmp_path: Path) -> None:
    model, base, _ = adapted_model(tmp_path)
    rows: dict[str, Tensor] = {}
    for name, inputs, outputs in (("fused[0:2]", 5, 2), ("fused[2:6]", 5, 4), ("head", 7, 3)):
        rows |= {f"{name}.input_rows": torch.randn(3, 2, inputs), f"{name}.gradient_rows": torch.randn(5, 2, outputs)}
    save_file(rows, tmp_path / "joint.safetensors", metadata("none"))
    model.double()
    pen = kfacd.Penalty(tmp_path / "joint.safetensors", model, base=base)
    torch.autograd.backward(pen())
    trained = {name: p for name, p in model.named_parameters() if p.grad is not None}
    assert any("lora_A" in name for name in trained) and any("modules_to_save" in name for name in trained)
    for name, parameter in trained.items():
        direction = torch.randn_like(parameter)
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                parameter.add_(step * direction)
                values.append(pen().item())
                parameter.sub_(step * direction)
        expected = float((parameter.grad * direction).sum())
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(expected, rel=1e-5), name
