"""Joint rows that a collection writes, against gradients of single samples in fp64."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from files import stored
from joint_regularizers import floor_terms, leading, omega
from reference import gradients_of, rows_of
from safetensors.torch import save_file
from torch import Tensor, nn

import kfacd
from kfacd import joint_compression
from kfacd.joint_compression import leading_eigenvectors

LAYERS = ("conv", "hidden", "head")
PARAMETERS = ("norm.bias", "norm.weight")


class Network(nn.Module):
    """A convolution, a normalisation, a layer at nine positions, used twice, and one without a bias at one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 2)
        self.norm = nn.LayerNorm(4)
        self.hidden = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        rows = self.norm(self.conv(image).flatten(2).transpose(1, 2).tanh())
        rows = self.hidden(torch.tanh(self.hidden(rows)))
        logits: Tensor = self.head(torch.tanh(rows).mean(dim=1))
        return logits


def collected(directory: Path, model: nn.Module, batches: list[Tensor], **options: object) -> Path:
    given: dict[str, object] = {"parameters": "norm.*", "probes": "exact", "joint_rows": (1000, 1000)}
    given |= {"task": "t", "normalization": "expand", **options}
    with kfacd.collect(model, **given) as collection:  # type: ignore[arg-type]
        for batch in batches:
            collection.step(model(batch))
    return collection.save(directory)


def network() -> Network:
    return Network().eval()


def sample_rows(model: nn.Module, images: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs [N, P, d_in] and gradients of each output [N, outputs, P, d_out] by block in fp64, of single samples."""
    model = network_copy(model).double()
    layers = {model.get_submodule(name): name for name in LAYERS}
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []
    handles = [
        module.register_forward_hook(lambda module, given, output: calls.append((module, given[0], output)))
        for module in layers
    ]
    inputs: dict[str, list[Tensor]] = {}
    gradients: dict[str, list[Tensor]] = {}
    for image in images.double():
        calls.clear()
        output = model(image.unsqueeze(0))[0]
        own: dict[str, list[Tensor]] = {}
        for module, value, _ in calls:
            rows = rows_of(module, value).detach()
            if module.bias is not None:
                rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=rows.dtype)], 1)
            own.setdefault(layers[module], []).append(rows)
        for name, parts in own.items():
            inputs.setdefault(name, []).append(torch.cat(parts))
        of_outputs: dict[str, list[Tensor]] = {}
        for scalar in output:
            wanted = [each for _, _, each in calls] + [model.get_parameter(name) for name in PARAMETERS]
            found = torch.autograd.grad(scalar, wanted, retain_graph=True)
            parts_of: dict[str, list[Tensor]] = {}
            for (module, _, _), gradient in zip(calls, found, strict=False):
                parts_of.setdefault(layers[module], []).append(gradients_of(module, gradient))
            for name, gradient in zip(PARAMETERS, found[len(calls) :], strict=True):
                parts_of[name] = [gradient.unsqueeze(0)]
            for name, parts in parts_of.items():
                of_outputs.setdefault(name, []).append(torch.cat(parts))
        for name, outputs in of_outputs.items():
            gradients.setdefault(name, []).append(torch.stack(outputs))
    for handle in handles:
        handle.remove()
    return (
        {name: torch.stack(each) for name, each in inputs.items()},
        {name: torch.stack(each) for name, each in gradients.items()},
    )


def network_copy(model: nn.Module) -> nn.Module:
    copy = Network()
    copy.load_state_dict(model.state_dict())
    return copy


def direction(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Changes of the parameters, and as Δ of the blocks."""
    changes = {name: torch.randn_like(p, dtype=torch.float64) for name, p in model.named_parameters()}
    deltas = {name: changes[name] for name in PARAMETERS}
    for name in LAYERS:
        deltas[name] = changes[f"{name}.weight"].flatten(1)
        if f"{name}.bias" in changes:
            deltas[name] = torch.cat([deltas[name], changes[f"{name}.bias"].unsqueeze(1)], dim=1)
    return changes, deltas


def drifts(inputs: Mapping[str, Tensor], gradients: Mapping[str, Tensor], deltas: Mapping[str, Tensor]) -> Tensor:
    """Σ_ℓ Σ_p gᵀ Δ a of each sample's gradients with each sample's inputs, [samples · outputs, samples]."""
    total = torch.zeros((), dtype=torch.float64)
    for name, gradient in gradients.items():
        if name in inputs:
            moved = inputs[name] @ deltas[name].T
            total = total + torch.einsum("mcpo,npo->mcn", gradient, moved)
        else:
            total = total + torch.einsum("mcpo,o->mc", gradient, deltas[name]).unsqueeze(-1)
    return total.flatten(0, 1)


def test_of_one_sample_it_is_the_drift_itself(tmp_path: Path) -> None:
    model, image = network(), torch.randn(1, 2, 4, 4)
    found, _ = stored(collected(tmp_path, model, [image]))
    changes, deltas = direction(model)
    wide = network_copy(model).double()
    drift = torch.func.jvp(
        lambda parameters: torch.func.functional_call(wide, parameters, (image.double(),)),
        ({name: p.detach() for name, p in wide.named_parameters()},),
        (changes,),
    )[1]
    assert omega(found, deltas, "none").item() == pytest.approx(drift.square().sum().item(), rel=1e-5)


def test_with_all_rows_it_is_the_mean_over_pairs_of_samples(tmp_path: Path) -> None:
    model, images = network(), torch.randn(7, 2, 4, 4)
    found, metadata = stored(collected(tmp_path, model, list(images.split(4))))
    inputs, gradients = sample_rows(model, images)
    _, deltas = direction(model)
    expected = drifts(inputs, gradients, deltas).square().sum() / 7**2
    assert omega(found, deltas, "none").item() == pytest.approx(expected.item(), rel=1e-5)
    stated = json.loads(metadata["joint_rows"])
    assert stated["ranks"] == {"inputs": 7, "gradients": 21}
    assert stated["kept"] == {"inputs": pytest.approx(1), "gradients": pytest.approx(1)}
    for name in LAYERS:
        squares = inputs[name].square().sum(-1).mean(0).float()
        torch.testing.assert_close(found[f"{name}.input_squares"], squares, rtol=1e-5, atol=0)
    for name, gradient in gradients.items():
        squares = gradient.square().sum(-1).sum(1).mean(0).float()
        torch.testing.assert_close(found[f"{name}.gradient_squares"], squares, rtol=1e-5, atol=0)
    assert found["input_squares"].tolist() == [1]


@pytest.mark.parametrize("chunk", [1, 1 << 25])
def test_compressed_rows_are_the_leading_ones_under_the_task_s_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(joint_compression, "CHUNK_ELEMENTS", chunk)
    model, images = network(), torch.randn(9, 2, 4, 4)
    found, metadata = stored(collected(tmp_path, model, list(images.split(4)), joint_rows=(2, 5)))
    inputs, gradients = sample_rows(model, images)
    names = sorted(gradients)
    # All outputs of a sample are rows.
    rows = {name: each.flatten(0, 1) for name, each in gradients.items()}
    squares = {name: each.square().sum((0, 2)) / 9 for name, each in rows.items()}
    of_constant = squares["norm.bias"] + squares["norm.weight"]
    left, kept_inputs = leading(
        [inputs[name] for name in LAYERS] + [torch.ones(9, 1, 1, dtype=torch.float64)],
        [squares[name] for name in LAYERS] + [of_constant],
        2,
    )
    met = [inputs[name].square().sum((0, 2)) / 9 if name in inputs else torch.ones(1) for name in names]
    right, kept_gradients = leading([rows[name] for name in names], [each.double() for each in met], 5)
    _, deltas = direction(model)
    expected = (right @ drifts(inputs, gradients, deltas) @ left.T).square().sum() / 9**2
    assert omega(found, deltas, "none").item() == pytest.approx(expected.item(), rel=1e-4)
    stated = json.loads(metadata["joint_rows"])
    assert stated["ranks"] == {"inputs": 2, "gradients": 5}
    assert stated["kept"]["inputs"] == pytest.approx(kept_inputs, rel=1e-5)
    assert stated["kept"]["gradients"] == pytest.approx(kept_gradients, rel=1e-5)
    assert 0 < kept_inputs < 1


@pytest.mark.parametrize("ranks", [(2, 5), (100, 100)])
def test_the_complement_is_positive_semidefinite(tmp_path: Path, ranks: tuple[int, int]) -> None:
    model = network()
    found, _ = stored(collected(tmp_path, model, [torch.randn(8, 2, 4, 4)], joint_rows=ranks, probes=2))
    wide = {name: each.double() for name, each in found.items()}
    for name in (*LAYERS, *PARAMETERS):
        terms = floor_terms(wide, name, "complement")
        (_, whole), (_, _) = terms
        rest = sum((weight * matrix for weight, matrix in terms), torch.zeros(()))
        largest = float(torch.linalg.eigvalsh(whole).max())
        eigenvalues = torch.linalg.eigvalsh(rest)
        assert float(eigenvalues.min()) > -1e-6 * largest, name
        if ranks == (100, 100):
            assert float(eigenvalues.abs().max()) < 1e-6 * largest, "all rows hold all of the factors"


def test_a_penalty_reads_what_a_collection_wrote(tmp_path: Path) -> None:
    model, images = network(), torch.randn(5, 2, 4, 4)
    found, metadata = stored(collected(tmp_path, model, [images], joint_rows=(2, 4)))
    stated = json.loads(metadata["joint_rows"])
    described = {
        "format": "kfacd.regularizer/1",
        "target": "other",
        "form": "pseudo_rows",
        "scale": "paper",
        "floor": "complement",
        "ranks": json.dumps(stated["ranks"]),
        "kept": json.dumps(stated["kept"]),
        "normalization": metadata["normalization"],
        "bias": metadata["bias"],
    }
    save_file(found, tmp_path / "regularizer.safetensors", described)
    base = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    changes, deltas = direction(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(changes[name])
    penalty = kfacd.Penalty(tmp_path / "regularizer.safetensors", model, base=base)
    assert penalty().item() == pytest.approx(omega(found, deltas, "complement").item(), rel=1e-4)


def test_the_factors_are_those_without_joint_rows(tmp_path: Path) -> None:
    model, images = network(), torch.randn(5, 2, 4, 4)
    with_rows, stated = stored(collected(tmp_path / "with", model, [images]))
    without, plain = stored(collected(tmp_path / "without", model, [images], joint_rows=None))
    assert {name for name in with_rows if not name.endswith(("rows", "squares"))} == without.keys()
    assert all(torch.equal(with_rows[name], value) for name, value in without.items())
    assert {key: value for key, value in stated.items() if key != "joint_rows"} == plain


def test_each_group_of_a_convolution_has_rows_of_its_own(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 2, groups=2), nn.Flatten(), nn.Linear(24, 2)).eval()
    image = torch.randn(1, 4, 3, 3)
    found, _ = stored(collected(tmp_path, model, [image], parameters=()))
    weights = {name: torch.randn_like(p, dtype=torch.float64) for name, p in model.named_parameters()}
    deltas = {"2": torch.cat([weights["2.weight"], weights["2.bias"].unsqueeze(1)], 1)}
    for group in range(2):
        own = slice(3 * group, 3 * group + 3)
        bias = weights["0.bias"][own].unsqueeze(1)
        deltas[f"0[{own.start}:{own.stop}]"] = torch.cat([weights["0.weight"][own].flatten(1), bias], 1)
    wide = nn.Sequential(nn.Conv2d(4, 6, 2, groups=2), nn.Flatten(), nn.Linear(24, 2)).double()
    wide.load_state_dict(model.state_dict())
    drift = torch.func.jvp(
        lambda parameters: torch.func.functional_call(wide, parameters, (image.double(),)),
        ({name: p.detach() for name, p in wide.named_parameters()},),
        (weights,),
    )[1]
    assert omega(found, deltas, "none").item() == pytest.approx(drift.square().sum().item(), rel=1e-5)


def test_a_random_subspace_finds_the_leading_eigenvectors() -> None:
    basis = torch.linalg.qr(torch.randn(200, 200, dtype=torch.float64)).Q
    matrix = basis @ torch.diag(0.8 ** torch.arange(200, dtype=torch.float64)) @ basis.T
    state = torch.get_rng_state()
    whole, part = leading_eigenvectors(matrix, 10), leading_eigenvectors(matrix, 10, whole_dimension=100)
    assert torch.equal(torch.get_rng_state(), state)
    for found in (whole, part):
        torch.testing.assert_close(found.vectors @ found.vectors.T, torch.eye(10, dtype=torch.float64))
        torch.testing.assert_close((found.vectors @ basis[:, :10]).abs(), torch.eye(10).double(), rtol=0, atol=1e-6)
        assert found.kept == pytest.approx(1 - 0.8**10)
    assert leading_eigenvectors(torch.zeros(3, 3, dtype=torch.float64), 2).kept == 1
