"""What the penalty refuses, by its sentences."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from cases import Zoo, checkpoint, trained
from penalties import ACCUMULATED, Jobs, file, refusal
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import kfacd


def altered(root: Path, change: Callable[[dict[str, torch.Tensor], dict[str, str]], None]) -> Path:
    """The regularizer without alpha, with a change to its tensors and metadata."""
    path = file(root, "alpha")
    with safe_open(path, "pt") as handle:
        metadata = handle.metadata()
    contents = load_file(path)
    change(contents, metadata)
    target = root / f"altered{len(list(root.glob('altered*')))}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in contents.items()}, target, metadata)
    return target


def test_layers_that_the_model_lacks_are_named(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    model = trained(root, "alpha")
    del model.q, model.norm
    assert refusal(file(root, "alpha"), model) == (
        f"{file(root, 'alpha')}: the model has no parameters for 3 of its blocks: q, norm.bias, norm.weight. "
        "Use the regularizer of a job whose base_model is this model's checkpoint."
    )


def test_other_shapes_are_named_together(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    model = trained(root, "alpha")
    model.q = nn.Linear(4, 9)
    model.fc = nn.Linear(5, 4, bias=True)
    model.norm = nn.LayerNorm(3)
    text = refusal(file(root, "alpha"), model)
    assert (
        f"{file(root, 'alpha')}: q: A is for 5 inputs (one more with a bias) and B for 5 outputs; the model's q.weight "
        "has 4 inputs and 9 outputs." in text
    )
    assert "norm.weight: its factor is for 4 elements; the model's norm.weight has the shape [3]." in text
    assert "fc" not in text, "a layer whose factors are without the bias is penalized without it"


def test_quantized_weights_are_refused(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    model = trained(root, "alpha")
    model.fc.weight = nn.Parameter(torch.zeros(4, 5, dtype=torch.int8), requires_grad=False)
    assert refusal(file(root, "alpha"), model).startswith(
        f"{file(root, 'alpha')}: fc.weight: it is of the type torch.int8; expected floating point, not quantized."
    )


def test_a_layer_without_the_bias_of_its_factors_is_refused(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    model = trained(root, "alpha")
    model.q = nn.Linear(4, 5, bias=False)
    assert refusal(file(root, "alpha"), model) == (
        f"{file(root, 'alpha')}: q: its factors are those of a layer with a bias; the model's layer has none."
    )


def test_the_digest_of_another_base_is_refused(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    text = refusal(file(root, "alpha"), trained(root, "alpha"), base=root / "beta.safetensors")
    assert text.startswith(f"{root / 'beta.safetensors'}: its SHA-256 is ")
    assert text.endswith("Give the checkpoint that was base_model of the job.")


def test_a_base_that_lacks_a_parameter_or_is_not_finite_is_refused(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    base = checkpoint(root, "base")
    del base["q.bias"]
    base["token"][0, 0, 1] = math.nan
    base["fc.weight"] = torch.zeros(5, 4)
    assert sorted(refusal(file(root, "alpha"), trained(root, "alpha"), base=base).splitlines()) == [
        "base: fc.weight has the shape [5, 4]; the model's has [4, 5].",
        f"base: it lacks q.bias, which the regularizer {file(root, 'alpha')} penalizes.",
        "base: token has values that are not finite.",
    ]


def test_factors_that_are_not_finite_or_not_symmetric_are_named(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)

    def spoil(contents: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        contents["q.A"][1, 2] = math.inf
        contents["conv.B"][0, 1] += 1

    path = altered(root, spoil)
    assert sorted(refusal(path, trained(root, "alpha")).splitlines()) == [
        f"{path}: conv.B is not symmetric, first at [0, 1].",
        f"{path}: q.A is not finite, first at [1, 2].",
    ]


def test_files_of_another_kind_are_refused(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    factors = root / "out" / "factors" / "alpha" / "factors.safetensors"
    assert refusal(factors, trained(root, "alpha")).startswith(
        f"{factors}: the format is kfacd.factors/1; expected kfacd.regularizer/1."
    )
    assert refusal(root / "absent", trained(root, "alpha")) == f"{root / 'absent'}: there is no such file."
    damaged = root / "damaged.safetensors"
    damaged.write_bytes(file(root, "alpha").read_bytes()[:100])
    assert refusal(damaged, trained(root, "alpha")).startswith(f"{damaged}: this is no whole safetensors file")


def test_a_layer_with_one_side_is_refused(finished_job: Jobs) -> None:
    def drop(contents: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        del contents["q.A"]

    path = altered(finished_job(ACCUMULATED), drop)
    assert refusal(path, Zoo()) == f"{path}: q has B; a layer has A and B, a parameter F alone."


def test_the_layout_of_a_square_parameter_beside_transposed_layers_must_be_stated(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)

    def rename(contents: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        for side in "AB":
            contents[f"mixer.{side}"] = contents[f"fused[2:6].{side}"].clone()
        contents["mixer.A"] = contents["mixer.A"][:4, :4].clone()

    path = altered(root, rename)
    model = trained(root, "alpha")
    model.mixer = nn.Parameter(torch.randn(4, 4))
    assert refusal(path, model) == (
        f"{path}: mixer: mixer is square, and nothing tells whether it is stored as [d_out, d_in] or [d_in, d_out]; "
        'state it, as in layout={"mixer": "out_in"}.'
    )
    base = {name: p.detach() for name, p in model.named_parameters()} | {"mixer": torch.zeros(4, 4)}
    delta = model.mixer.detach().double()
    a, b = load_file(path)["mixer.A"].double(), load_file(path)["mixer.B"].double()
    assert refusal(path, model, layout={"mixe[r]": "out_in"}).startswith(
        "layout: the pattern 'mixe[r]' matches no layer"
    )
    for layout, matrix in (("out_in", delta), ("in_out", delta.T)):
        pen = kfacd.Penalty(path, model, base=base, layout={"mix*": layout})
        assert pen().item() == pytest.approx(float(torch.trace(b @ matrix @ a @ matrix.T)), rel=1e-6)


def test_arguments_out_of_range_are_refused(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    assert refusal(file(root, "alpha"), Zoo(), beta=-1.0) == "beta is -1.0; expected a finite number of at least 0."
    assert refusal(file(root, "alpha"), Zoo(), every=0) == "every is 0; expected a whole number of at least 1."
    assert "matches no layer" in refusal(file(root, "alpha"), Zoo(), layout={"no.such": "in_out"})
