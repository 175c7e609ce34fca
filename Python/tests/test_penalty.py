"""The penalty and its gradient, against the report of a job, Kronecker products and differences."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import kfacd
from cases import FULL, LAYERS, TASKS, Zoo, checkpoint, report, tensors, trained
from kfacd.symmetric import unpacked

ACCUMULATED = "regularizer: {form: accumulated, targets: leave_one_out}"
FORMS = [
    ACCUMULATED,
    "regularizer: {form: accumulated, targets: leave_one_out, scale: mean}\npacked: true\n"
    'groups: [{layers: ["q", "norm.*"], strength: 3.5}]',
    "regularizer: {form: optimal, rank: 2, targets: leave_one_out}\npacked: true",
    "regularizer: {form: per_task, targets: leave_one_out}",
]
Jobs = Callable[[str], Path]


def file(root: Path, task: str) -> Path:
    return root / "out" / "regularizer" / task / "regularizer.safetensors"


def penalty(root: Path, task: str = "alpha", dtype: torch.dtype = torch.float64, **options: object) -> kfacd.Penalty:
    model = options.pop("model", None) or trained(root, task, dtype)
    base = options.pop("base", root / "base.safetensors")
    return kfacd.Penalty(file(root, task), model, base=base, **options)  # type: ignore[arg-type]


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


class Wrapper(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def test_wrapped_models_and_their_state_dictionaries_have_the_plain_names(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    expected = penalty(root).by_layer()
    base = {f"module.{name}": tensor for name, tensor in checkpoint(root, "base").items()}
    wrapped = Wrapper(trained(root, "alpha", torch.float64))
    assert penalty(root, model=wrapped, base=base).by_layer() == expected
    compiled = nn.Module()
    compiled._orig_mod = trained(root, "alpha", torch.float64)
    assert penalty(root, model=Wrapper(compiled)).by_layer() == expected
    parallel = nn.DataParallel(trained(root, "alpha", torch.float64))
    assert penalty(root, model=parallel).by_layer() == expected


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    distributed: Any = torch.distributed
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_data_parallel_training_takes_both_ways(tmp_path: Path, process_group: None) -> None:
    model, base, path = adapted_model(tmp_path)
    parallel: Any = nn.parallel.DistributedDataParallel(model)
    pen = kfacd.Penalty(path, parallel, base=base)
    torch.autograd.backward(parallel(torch.arange(7)).sum() + pen())
    with_graph = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    torch.autograd.backward(parallel(torch.arange(7)).sum())
    pen.add_grad_()
    for name, gradient in with_graph.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient)


def test_sharded_parameters_are_refused(finished_job: Jobs, process_group: None) -> None:
    from torch.distributed import fsdp

    model = trained(finished_job(ACCUMULATED), "alpha")
    shard: Any = fsdp.fully_shard
    shard(model.q)
    assert refusal(file(finished_job(ACCUMULATED), "alpha"), model).splitlines()[0] == (
        "q.weight: this process holds only a shard of the parameter (FSDP or tensor parallelism); gather the "
        "parameters as with summon_full_params, or shard only the optimizer (ZeRO-1, ZeroRedundancyOptimizer)."
    )


def test_autocast_does_not_round_the_penalty(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    pen = penalty(root, dtype=torch.float32)
    expected = pen().item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert pen().item() == expected


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


def refusal(path: Path, model: nn.Module, **options: object) -> str:
    with pytest.raises(kfacd.BadInput) as caught:
        kfacd.Penalty(path, model, **options)  # type: ignore[arg-type]
    return str(caught.value)


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


class Custom(nn.Module):
    """A transposed layer of a type that nothing is known about."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.bias = nn.Parameter(torch.randn(4))


def test_the_layout_that_the_file_states_holds_for_modules_of_any_type(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    model = Zoo()
    model.c_attn = Custom()  # type: ignore[assignment]
    model.load_state_dict(checkpoint(root, "alpha"))
    assert penalty(root, model=model.double()).by_layer() == penalty(root).by_layer()


class Adapted(nn.Module):
    """A layer of each kind that LoRA takes, and one that is trained whole."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(7, 4)
        self.fused = nn.Linear(4, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.fused(self.wte(ids)))
        return logits


def adapted_model(tmp_path: Path, **options: object) -> tuple[Any, dict[str, torch.Tensor], Path]:
    """A model with adapters that are not zero, its base, and a regularizer that has the fused layer in two parts."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    plain = Adapted()
    base = tensors(plain)
    config = peft.LoraConfig(r=2, lora_alpha=5, target_modules=["wte", "fused"], modules_to_save=["head"], **options)
    model = peft.get_peft_model(plain, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    contents = {}
    for name, inputs, outputs in (("fused[0:2]", 5, 2), ("fused[2:6]", 5, 4), ("head", 7, 3)):
        for side, size in (("A", inputs), ("B", outputs)):
            rows = torch.randn(9, size)
            contents[f"{name}.{side}"] = rows.T @ rows
    contents |= {"wte.A": torch.rand(7), "wte.B": torch.eye(4) * 2}
    metadata = {"format": "kfacd.regularizer/1", "target": "all", "form": "accumulated", "scale": "paper"}
    save_file(contents, tmp_path / "regularizer.safetensors", metadata | {"diagonal": '["wte.A"]'})
    return model, base, tmp_path


def test_adapters_have_the_penalty_of_the_merged_model_and_the_gradient_of_differences(tmp_path: Path) -> None:
    model, base, path = adapted_model(tmp_path)
    model = model.double()
    pen = kfacd.Penalty(path, model, base=base)
    merged = copy.deepcopy(model).merge_and_unload()
    expected = kfacd.Penalty(path, merged, base=base).by_layer()
    assert pen.by_layer() == pytest.approx(expected, rel=1e-10)
    torch.autograd.backward(pen())
    by_graph = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert by_graph.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(by_graph) == 6
    model.zero_grad()
    pen.add_grad_()
    for name, gradient in by_graph.items():
        parameter = model.get_parameter(name)
        torch.testing.assert_close(parameter.grad, gradient)
        direction = torch.randn_like(parameter)
        values = []
        for step in (1e-4, -1e-4):
            with torch.no_grad():
                parameter.add_(step * direction)
                values.append(pen().item())
                parameter.sub_(step * direction)
        slope = float((gradient * direction).sum())
        assert (values[0] - values[1]) / 2e-4 == pytest.approx(slope, rel=1e-5), name


def test_adapters_that_are_more_than_low_rank_or_merged_are_refused(tmp_path: Path) -> None:
    model, base, path = adapted_model(tmp_path, use_dora=True)
    text = "wte.weight: the adapter default has more than B A (DoRA, or a bias); the penalty takes LoRA alone."
    assert text in refusal(path, model, base=base).splitlines()
    (tmp_path / "second").mkdir()
    model, base, path = adapted_model(tmp_path / "second")
    pen = kfacd.Penalty(path, model, base=base)
    model.merge_adapter()
    with pytest.raises(kfacd.BadInput, match="is merged into the weight"):
        pen()
    model.unmerge_adapter()
    with model.disable_adapter():
        assert pen.by_layer()["wte"] == pytest.approx(0, abs=1e-9)


def test_arguments_out_of_range_are_refused(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    assert refusal(file(root, "alpha"), Zoo(), beta=-1.0) == "beta is -1.0; expected a finite number of at least 0."
    assert refusal(file(root, "alpha"), Zoo(), every=0) == "every is 0; expected a whole number of at least 1."
    assert "matches no layer" in refusal(file(root, "alpha"), Zoo(), layout={"no.such": "in_out"})


def test_a_tied_parameter_is_found_under_either_name(finished_job: Jobs) -> None:
    root = finished_job(ACCUMULATED)
    model = trained(root, "alpha", torch.float64)
    expected = penalty(root).by_layer()
    model.head = nn.Linear(4, 7, bias=False).double()
    model.head.weight = model.wte.weight
    base = checkpoint(root, "base")
    base["head.weight"] = base.pop("wte.weight")
    pen = penalty(root, model=model, base=base)
    assert pen.by_layer() == expected
    assert tensors(model).keys() >= {"head.weight", "wte.weight"}
