"""What is collected in special circumstances."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import VOCABULARY, llama, vision_transformer
from files import errors, stored
from torch import Tensor, nn

import kfacd


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def factors_of(
    model: nn.Module, forward: Callable[[nn.Module], Tensor], directory: Path, **options: object
) -> dict[str, Tensor]:
    labels = options.pop("labels", None)
    with kfacd.collect(model, task="t", run="r", **options) as collection:  # type: ignore[arg-type]
        collection.step(forward(model), labels=labels)  # type: ignore[arg-type]
    return stored(collection.save(directory))[0]


def require_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert errors(found, {name: value.double() for name, value in expected.items()}, {}) == {}


def test_exact_probes_sum_over_the_outputs(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4)
    found = factors_of(model, lambda m: m(x), tmp_path, probes="exact")
    jacobian = torch.func.vmap(torch.func.jacrev(lambda h: model[2](torch.tanh(h))))(model[0](x)).detach().double()
    expected = torch.einsum("nci,ncj->ij", jacobian, jacobian) / 6
    torch.testing.assert_close(found["0.B"].double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["2.B"], torch.eye(3))


def test_random_probes_tend_to_the_exact_factor(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4)
    exact = factors_of(model, lambda m: m(x), tmp_path / "exact", probes="exact")
    many = factors_of(model, lambda m: m(x), tmp_path / "many", probes=2000)
    assert float((many["0.B"] - exact["0.B"]).norm() / exact["0.B"].norm()) < 0.1


def test_labels_give_the_empirical_fisher(tmp_path: Path) -> None:
    model, x, labels = network(), torch.randn(6, 4), torch.tensor([0, 2, 1, 1, 0, 2])
    found = factors_of(model, lambda m: m(x), tmp_path, fisher="labels", probes=1, labels=labels)
    residual = (model(x).softmax(-1) - nn.functional.one_hot(labels, 3)).detach().double()
    torch.testing.assert_close(found["2.B"].double(), residual.T @ residual / 6, rtol=1e-5, atol=1e-6)


def test_sampled_labels_tend_to_the_fisher_of_the_model(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4)
    found = factors_of(model, lambda m: m(x), tmp_path, fisher="sampled", probes=1500)
    p = model(x).softmax(-1).detach().double()
    expected = (torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)).mean(0)
    torch.testing.assert_close(found["2.B"].double(), expected, rtol=0.1, atol=0.02)


def test_a_function_gives_the_scalar(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4)
    found = factors_of(model, lambda m: m(x), tmp_path, fisher=lambda output, _: output.square().sum() / 2, probes=1)
    output = model(x).detach().double()
    torch.testing.assert_close(found["2.B"].double(), output.T @ output / 6, rtol=1e-5, atol=1e-6)


def test_frozen_parameters_and_a_later_backward_pass_do_not_matter(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4)
    expected = factors_of(model, lambda m: m(x), tmp_path / "a")
    frozen = network().requires_grad_(False)
    frozen.load_state_dict(model.state_dict())
    require_equal(factors_of(frozen, lambda m: m(x), tmp_path / "b"), expected)
    with kfacd.collect(model, task="t") as collection:
        for _ in range(2):
            # Not a forward pass of a step: an evaluation, and a training step.
            with torch.no_grad():
                model(torch.randn(3, 4))
            model(torch.randn(3, 4)).sum().backward()
            collection.step(model(x))
    require_equal(
        {name: value for name, value in stored(collection.save(tmp_path / "c"))[0].items() if name.endswith("A")},
        {name: value for name, value in expected.items() if name.endswith("A")},
    )


def test_a_module_that_runs_twice_has_the_rows_of_both_uses(tmp_path: Path) -> None:
    layer, x = nn.Linear(3, 3, bias=False), torch.randn(5, 3)
    model = nn.ModuleDict({"layer": layer})
    collected = factors_of(model, lambda m: layer(layer(x).tanh()), tmp_path, probes="exact")
    hidden = layer(x).tanh().detach()
    expected = (x.T @ x + hidden.T @ hidden) / 10
    torch.testing.assert_close(collected["layer.A"], expected, rtol=1e-5, atol=1e-6)


def test_an_embedding_is_the_diagonal_of_its_counts(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Embedding(7, 3, padding_idx=0), nn.Flatten(1), nn.Linear(12, 2))
    ids = torch.tensor([[1, 2, 2, 0], [6, 1, 0, 0]])
    for normalization, expected in {
        "expand": torch.tensor([0, 2, 2, 0, 0, 0, 1]) / 5,
        "reduce": torch.tensor([0, 1 / 9 + 1 / 4, 4 / 9, 0, 0, 0, 1 / 4]) / 2,
    }.items():
        found = factors_of(model, lambda m: m(ids), tmp_path / normalization, normalization=normalization)
        torch.testing.assert_close(found["0.A"], expected)


@pytest.mark.parametrize("needs_weights", [True, False])
@pytest.mark.parametrize("samples_first", [True, False])
def test_watched_attention_computes_what_torch_computes(samples_first: bool, needs_weights: bool) -> None:
    attention = nn.MultiheadAttention(6, 2, batch_first=samples_first).eval()
    query, key = torch.randn(4, 4, 6), torch.randn(4, 4, 6)
    padding = torch.zeros(4, 4, dtype=torch.bool)
    padding[1, 2:] = True
    causal = nn.Transformer.generate_square_subsequent_mask(4)
    variants: list[dict[str, Tensor]] = [{}, {"attn_mask": causal}, {"key_padding_mask": padding.float() * -1e9}]
    variants += [{"attn_mask": torch.rand(8, 4, 4)}, {"key_padding_mask": padding, "attn_mask": causal == -math.inf}]
    for inputs in ((query, query, query), (query, key, key), (query, key, query)):
        for masks in variants:
            expected = attention(*inputs, need_weights=needs_weights, **masks)
            with kfacd.collect(nn.ModuleDict({"attention": attention}), task="t"):
                found = attention(*inputs, need_weights=needs_weights, **masks)
            torch.testing.assert_close(found[0], expected[0])
            assert (found[1] is None) == (not needs_weights)
            if needs_weights:
                torch.testing.assert_close(found[1], expected[1])
    assert "forward" not in attention.__dict__
    single = torch.randn(4, 6)
    with kfacd.collect(nn.ModuleDict({"attention": attention}), task="t"):
        found = attention(single, single, single)
    torch.testing.assert_close(found, attention(single, single, single))


def test_cross_attention_has_a_layer_for_each_input(tmp_path: Path) -> None:
    decoder = nn.TransformerDecoderLayer(6, 2, 8, batch_first=True).eval()
    target, memory = torch.randn(3, 4, 6), torch.randn(3, 5, 6)
    found = factors_of(decoder, lambda m: m(target, memory).mean(1), tmp_path)
    rows = memory.reshape(-1, 6)
    torch.testing.assert_close(found["multihead_attn.in_proj[6:18].A"][:6, :6], rows.T @ rows / 15)
    shapes = {name: list(value.shape) for name, value in found.items() if "in_proj" in name}
    assert shapes == {
        "self_attn.in_proj.A": [7, 7],
        "self_attn.in_proj.B": [18, 18],
        "multihead_attn.in_proj[0:6].A": [7, 7],
        "multihead_attn.in_proj[0:6].B": [6, 6],
        "multihead_attn.in_proj[6:18].A": [7, 7],
        "multihead_attn.in_proj[6:18].B": [12, 12],
    }


def test_a_whole_encoder_of_torch_runs_without_its_fast_path(tmp_path: Path) -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), 2).eval()
    encoder.requires_grad_(False)
    found = factors_of(encoder, lambda m: m(torch.randn(3, 4, 6)).mean(1), tmp_path)
    assert {name for name in found if name.endswith(".A")} == {
        f"layers.{i}.{name}.A"
        for i in range(2)
        for name in ("self_attn.in_proj", "self_attn.out_proj", "linear1", "linear2")
    }
    assert torch.backends.mha.get_fastpath_enabled()


def test_experts_are_layers_with_the_tokens_that_reach_them(tmp_path: Path) -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=VOCABULARY,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=4,
        num_experts_per_tok=2,
    )
    model = MixtralForCausalLM(config).eval()
    ids = torch.randint(0, VOCABULARY, (3, 6))
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[1, 4:] = False
    plain = model(input_ids=ids, attention_mask=mask).logits
    with kfacd.collect(model, task="t", run="r", layers=["*.experts.*"], probes=1, allow_unused=True) as collection:
        output = model(input_ids=ids, attention_mask=mask).logits
        collection.step(output, mask=mask)
    torch.testing.assert_close(output, plain)
    found, metadata = stored(collection.save(tmp_path))
    rows = json.loads(metadata["rows"])
    experts = "model.layers.0.mlp.experts"
    assert sum(rows[f"{experts}.gate_up_proj[{index}]"] for index in range(4)) == 2 * 16
    captured: list[Tensor] = []
    handle = model.model.layers[0].mlp.experts.register_forward_pre_hook(lambda _, inputs: captured.extend(inputs))
    model(input_ids=ids, attention_mask=mask)
    handle.remove()
    states, chosen, _ = captured
    for index in range(4):
        reached = states[((chosen == index).any(-1)) & mask.reshape(-1)].detach()
        if len(reached):
            expected = reached.T @ reached / len(reached)
            torch.testing.assert_close(found[f"{experts}.gate_up_proj[{index}].A"], expected, rtol=1e-5, atol=1e-6)


def test_the_gradients_of_experts_are_those_of_their_weights(tmp_path: Path) -> None:
    from transformers import Qwen2MoeConfig
    from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeExperts

    config = Qwen2MoeConfig(hidden_size=4, moe_intermediate_size=3, num_experts=3)
    config._experts_implementation = "eager"
    experts = Qwen2MoeExperts(config).eval()
    for parameter in experts.parameters():
        nn.init.normal_(parameter)
    states = torch.randn(2, 4)
    chosen, weights = torch.tensor([[0, 1], [2, 0]]), torch.rand(2, 2)
    model = nn.ModuleDict({"experts": experts})
    found = factors_of(model, lambda _: experts(states, chosen, weights), tmp_path, probes="exact")
    total = torch.zeros(4, 4)
    for position in range(4):
        # Only sample 1 reaches expert 2, with one row, so the weight's gradient is the outer product g aᵀ.
        gradient = torch.autograd.grad(experts(states, chosen, weights)[1, position], experts.down_proj)[0][2]
        total += gradient @ gradient.T
    gate, up = (states[1] @ half.T for half in experts.gate_up_proj[2].chunk(2))
    hidden = (experts.act_fn(gate) * up).detach()
    torch.testing.assert_close(found["experts.down_proj[2].B"] * hidden.square().sum(), total, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["experts.down_proj[2].A"], torch.outer(hidden, hidden), rtol=1e-4, atol=1e-5)


def test_activation_checkpointing_changes_nothing(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4)
    expected = factors_of(model, lambda m: m(x), tmp_path / "a")

    def checkpointed(m: nn.Module) -> Tensor:
        output: Tensor = torch.utils.checkpoint.checkpoint(m, x, use_reentrant=False)
        return output

    require_equal(factors_of(model, checkpointed, tmp_path / "b"), expected)


def test_reentrant_checkpointing_is_refused_by_name(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4, requires_grad=True)
    with pytest.raises(kfacd.GraphError, match="use_reentrant=False"):
        factors_of(model, lambda m: torch.utils.checkpoint.checkpoint(m, x, use_reentrant=True), tmp_path)


def test_a_compiled_model_is_run_without_its_compiled_code(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4)
    expected = factors_of(model, lambda m: m(x), tmp_path / "a")
    compiled: Any = torch.compile(model, backend="eager")
    compiled(x)
    require_equal(factors_of(compiled, lambda m: m(x), tmp_path / "b"), expected)


def test_a_distributed_model_needs_no_backward_pass_of_its_own(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4)
    expected = factors_of(model, lambda m: m(x), tmp_path / "a")
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(model)
        with kfacd.collect(wrapped, task="t") as collection:
            for _ in range(3):
                collection.step(wrapped(x), samples=range(6))
    finally:
        torch.distributed.destroy_process_group()
    require_equal(stored(collection.save(tmp_path / "b"))[0], expected)


def test_gradients_under_autocast_are_summed_in_fp32(tmp_path: Path) -> None:
    case = vision_transformer()
    model = case.model.eval()
    inputs, _ = case.batch(case.samples)
    expected = factors_of(model, lambda m: m(**inputs), tmp_path / "a")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = factors_of(model, lambda m: m(**inputs), tmp_path / "b")
    for name, value in expected.items():
        assert float((found[name] - value).norm() / value.norm()) < 0.1, name
    # Products of bf16 would differ by 2⁻⁹ at least; the input of the first layer is the same in both.
    torch.testing.assert_close(found["patches.A"], expected["patches.A"], rtol=1e-6, atol=1e-6)


def test_the_scale_of_gradients_cancels(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4)
    require_equal(
        factors_of(model, lambda m: m(x), tmp_path / "a", scale=4096.0),
        factors_of(model, lambda m: m(x), tmp_path / "b"),
    )
    half = network().half()
    half.load_state_dict(model.state_dict())
    found = factors_of(half, lambda m: m(x.half()), tmp_path / "c")
    assert all(torch.isfinite(value).all() for value in found.values())


def test_layers_that_read_one_tensor_are_summed_once(tmp_path: Path) -> None:
    case = llama()
    model = case.model.eval()
    inputs, mask = case.batch(case.samples)
    with kfacd.collect(model, task="t", layers="*_proj") as collection:
        collection.step(case.forward(model, inputs), mask=mask)
    accumulation = collection._accumulation
    assert accumulation is not None
    assert len(accumulation._inputs) == 7
    assert len({id(each) for each in accumulation._inputs.values()}) == 4


def test_a_shared_sum_is_parted_when_layers_read_different_tensors(tmp_path: Path) -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            output: Tensor = self.a(x) + self.b(y)
            return output

    model, x, y = Pair(), torch.randn(3, 2), torch.randn(3, 2)
    with kfacd.collect(model, task="t") as collection:
        for pair in ((x, x), (x, y), (y, y)):
            collection.step(model(*pair))
    found = stored(collection.save(tmp_path))[0]
    torch.testing.assert_close(found["a.A"], (2 * x.T @ x + y.T @ y) / 9)
    torch.testing.assert_close(found["b.A"], (x.T @ x + 2 * y.T @ y) / 9)


def test_masks_by_pattern_serve_encoder_and_decoder(tmp_path: Path) -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(2, 2, bias=False), "decoder": nn.Linear(2, 2, bias=False)})
    x, y = torch.randn(2, 3, 2), torch.randn(2, 4, 2)
    masks = {"encoder*": torch.tensor([[1, 1, 0], [1, 0, 0]]), "decoder*": torch.tensor([[1, 1, 1, 1], [0, 1, 0, 0]])}
    with kfacd.collect(model, task="t") as collection:
        collection.step(model["decoder"](y) + model["encoder"](x).mean(1, keepdim=True), mask=masks)
    found = stored(collection.save(tmp_path))[0]
    rows = x[masks["encoder*"].bool()]
    torch.testing.assert_close(found["encoder.A"], rows.T @ rows / 3)
    rows = y[masks["decoder*"].bool()]
    torch.testing.assert_close(found["decoder.A"], rows.T @ rows / 5)


def test_rows_of_padding_are_left_out_whatever_they_hold(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    x = torch.randn(70, 10, 4)
    mask = torch.arange(10) < torch.arange(70).remainder(10).add(1).unsqueeze(-1)
    padded = x.masked_fill(~mask.unsqueeze(-1), math.nan)
    with kfacd.collect(model, task="t", run="r", probes=1) as collection:
        collection.step(model(padded), mask=mask)
    found, metadata = stored(collection.save(tmp_path))
    rows = torch.cat([x[mask], torch.ones(int(mask.sum()), 1)], 1).double()
    torch.testing.assert_close(found["0.A"].double(), rows.T @ rows / len(rows), rtol=1e-5, atol=1e-6)
    assert json.loads(metadata["rows"]) == {"0": len(rows), "2": len(rows)}


def test_nothing_of_the_size_of_rows_stays_after_a_step() -> None:
    def large() -> list[list[int]]:
        gc.collect()
        tensors = [each for each in gc.get_objects() if issubclass(type(each), Tensor)]
        return [list(each.shape) for each in tensors if each.untyped_storage().nbytes() >= 4 * 40 * 25]

    model = network()
    mask = torch.arange(25) < torch.full((40, 1), 20)
    before = large()
    with kfacd.collect(model, task="t", run="r", probes=2) as collection:
        for _ in range(2):
            # The caller may keep the output, whose graph must not keep rows.
            output = model(torch.randn(40, 25, 4)).sum(dim=1)
            collection.step(output, mask=mask)
        assert large() == before


def test_a_cpu_states_fp32_products_where_tf32_is_asked_for(tmp_path: Path) -> None:
    model, x = network(), torch.randn(64, 4)
    plain = factors_of(model, lambda m: m(x), tmp_path / "plain")
    require_equal(factors_of(model, lambda m: m(x), tmp_path / "asked", products="tf32"), plain)
    assert stored(tmp_path / "asked/factors.safetensors")[1]["products"] == "float32"


def test_bfloat16_products_are_recorded_and_near_those_of_fp32(tmp_path: Path) -> None:
    model, x = network(), torch.randn(64, 4)
    fine = factors_of(model, lambda m: m(x), tmp_path / "fine", probes=2)
    coarse = factors_of(model, lambda m: m(x), tmp_path / "coarse", probes=2, products="bfloat16")
    recorded = [stored(tmp_path / each / "factors.safetensors")[1]["products"] for each in ("fine", "coarse")]
    assert recorded == ["float32", "bfloat16"]
    rounded = torch.cat([x.bfloat16().double(), torch.ones(64, 1).double()], 1)
    torch.testing.assert_close(coarse["0.A"].double(), rounded.T @ rounded / 64, rtol=1e-5, atol=1e-6)
    for name, value in fine.items():
        assert float((coarse[name] - value).norm() / value.norm()) < 2**-7
