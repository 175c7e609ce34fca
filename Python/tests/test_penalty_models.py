"""The penalty of models in wrappers, in training loops, and with adapters."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import Zoo, checkpoint, tensors, trained
from penalties import ACCUMULATED, Jobs, adapted_model, file, penalty, refusal
from torch import nn

import kfacd


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
    with pytest.raises(kfacd.InputError, match="is merged into the weight"):
        pen()
    model.unmerge_adapter()
    with model.disable_adapter():
        assert pen.by_layer()["wte"] == pytest.approx(0, abs=1e-9)


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
