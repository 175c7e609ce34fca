"""The linearized model, against differences and the model itself."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest
import torch
from torch import nn

import kfacd


class Encoder(nn.Module):
    """Attention, a normalization with a buffer, a convolution and a tied head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.norm = nn.BatchNorm1d(8)
        self.conv = nn.Conv1d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor, *, scale: float = 1.0) -> dict[str, torch.Tensor]:
        hidden = self.block(self.embed(tokens))
        hidden = self.conv(self.norm(hidden.transpose(1, 2))).transpose(1, 2)
        logits = self.head(hidden) * scale
        return {"logits": logits, "best": logits.argmax(-1)}


def moved(model: nn.Module, step: float, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(step * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))


@pytest.fixture
def model() -> Encoder:
    torch.manual_seed(0)
    return Encoder().double().eval()


TOKENS = torch.arange(10).reshape(2, 5)


def test_at_the_base_it_is_the_model(model: Encoder) -> None:
    expected = model(TOKENS, scale=2.0)
    found = kfacd.linearize(model)(TOKENS, scale=2.0)
    torch.testing.assert_close(found["logits"], expected["logits"], rtol=1e-12, atol=1e-12)
    assert torch.equal(found["best"], expected["best"])


def test_it_is_the_first_order_expansion(model: Encoder) -> None:
    net = kfacd.linearize(model)
    base = copy.deepcopy(model)
    moved(model, 1.0)
    step = 1e-5
    ahead, behind = copy.deepcopy(base), copy.deepcopy(base)
    moved(ahead, step)
    moved(behind, -step)
    slope = (ahead(TOKENS)["logits"] - behind(TOKENS)["logits"]) / (2 * step)
    torch.testing.assert_close(net(TOKENS)["logits"], base(TOKENS)["logits"] + slope, rtol=1e-6, atol=1e-7)


def test_it_is_linear_in_the_parameters(model: Encoder) -> None:
    net = kfacd.linearize(model)
    outputs = []
    for _ in range(3):
        outputs.append(net(TOKENS)["logits"].detach())
        moved(model, 0.5)
    torch.testing.assert_close(outputs[2] - outputs[1], outputs[1] - outputs[0], rtol=1e-10, atol=1e-10)


def test_the_gradient_at_the_base_is_that_of_the_model(model: Encoder) -> None:
    other = copy.deepcopy(model)
    torch.autograd.backward((other(TOKENS)["logits"] ** 2).sum())
    net = kfacd.linearize(model)
    torch.autograd.backward((net(TOKENS)["logits"] ** 2).sum())
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.grad, other.get_parameter(name).grad, rtol=1e-9, atol=1e-9)


def test_parameters_buffers_and_names_are_those_of_the_model(model: Encoder) -> None:
    names = list(model.state_dict())
    net = kfacd.linearize(model)
    assert list(net.state_dict()) == names
    assert all(a is b for a, b in zip(net.parameters(), model.parameters(), strict=True))
    assert net.get_buffer("norm.running_mean") is model.norm.running_mean
    before = {name: tensor.clone() for name, tensor in model.named_buffers()}
    net(TOKENS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.named_buffers())
    assert list(inspect.signature(net.forward).parameters) == ["tokens", "scale"]


def test_a_cast_moves_the_base_too(model: Encoder) -> None:
    net = kfacd.linearize(model)
    expected = model(TOKENS)["logits"]
    moved(model, 0.1)
    moved(model, -0.1)
    found = net.float()(TOKENS)["logits"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_two_models_keep_their_own_signatures_and_work_without_gradients(model: Encoder) -> None:
    net, other = kfacd.linearize(model), kfacd.linearize(nn.Linear(2, 2))
    assert list(inspect.signature(net.forward).parameters) == ["tokens", "scale"]
    assert list(inspect.signature(other.forward).parameters) == ["input"]
    with torch.no_grad():
        torch.testing.assert_close(net(TOKENS)["logits"], model(TOKENS)["logits"])


def test_a_copy_is_independent(model: Encoder) -> None:
    net = kfacd.linearize(model)
    twin = copy.deepcopy(net)
    before = net(TOKENS)["logits"]
    moved(twin, 1.0)
    assert torch.equal(net(TOKENS)["logits"], before)
    assert not torch.allclose(twin(TOKENS)["logits"], before)


def test_training_lowers_the_loss_of_a_linear_problem(model: Encoder) -> None:
    net = kfacd.linearize(model)
    optimizer = torch.optim.SGD(net.parameters(), 1e-2)
    losses = []
    for _ in range(5):
        loss = nn.functional.cross_entropy(net(TOKENS)["logits"].flatten(0, 1), TOKENS.flatten())
        losses.append(loss.item())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert losses == sorted(losses, reverse=True)


def test_statistics_in_training_are_refused_by_name(model: Encoder) -> None:
    text = "norm: BatchNorm1d in training mode changes its statistics in each pass; call .eval() on it, and keep it so."
    net = kfacd.linearize(model)
    net.train()
    with pytest.raises(kfacd.InputError) as caught:
        net(TOKENS)
    assert str(caught.value) == text
    model.norm.eval()
    net(TOKENS)


class Rounding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: object, upstream: torch.Tensor) -> torch.Tensor:
        return upstream


class Rounded(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rounded: torch.Tensor = Rounding.apply(x)
        return rounded


def test_an_operation_without_forward_derivative_is_refused_with_its_module() -> None:
    net = kfacd.linearize(nn.Sequential(nn.Linear(2, 2), Rounded()))
    with pytest.raises(kfacd.InputError, match=r"^1: an operation has no forward-mode derivative"):
        net(torch.ones(1, 2))


def test_wrapped_models_are_refused() -> None:
    with pytest.raises(kfacd.InputError, match=r"DataParallel: linearize the model inside"):
        kfacd.linearize(nn.DataParallel(nn.Linear(2, 2)))


@pytest.fixture
def language_model() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=11, n_positions=8)
    made: nn.Module = transformers.GPT2LMHeadModel(config).eval()
    return made


def test_a_model_of_transformers_keeps_its_output_class(language_model: nn.Module) -> None:
    net = kfacd.linearize(language_model)
    inputs = {"input_ids": TOKENS, "attention_mask": torch.ones_like(TOKENS), "use_cache": False}
    expected = language_model(**inputs)
    found = net(**inputs)
    assert type(found) is type(expected)
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-5, atol=1e-6)
    assert net.config is language_model.config


def test_a_cache_of_keys_is_refused_by_name(language_model: nn.Module) -> None:
    with pytest.raises(
        kfacd.InputError, match=r"^\w+ is of the type DynamicCache, which cannot be linearized.*use_cache=False"
    ):
        kfacd.linearize(language_model)(input_ids=TOKENS)


def test_a_loss_that_the_model_computes_is_refused(language_model: nn.Module) -> None:
    with pytest.raises(kfacd.InputError, match="The model computed its loss from labels"):
        kfacd.linearize(language_model)(input_ids=TOKENS, labels=TOKENS, use_cache=False)


def test_routed_experts_are_linear_in_their_parameters_with_the_plain_implementation() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.MixtralConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, intermediate_size=8,
        vocab_size=11, num_local_experts=3,
    )  # fmt: skip
    torch.manual_seed(0)
    grouped = transformers.MixtralForCausalLM(config).eval()
    with pytest.raises(kfacd.InputError, match=r'^model\.layers\.0\.mlp\.experts: .*experts_implementation="eager"\.$'):
        kfacd.linearize(grouped)(input_ids=TOKENS, use_cache=False)
    config._experts_implementation = "eager"
    model = transformers.MixtralForCausalLM(config).eval()
    expected = model(input_ids=TOKENS, use_cache=False).logits
    found = kfacd.linearize(model)(input_ids=TOKENS, use_cache=False).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_activation_checkpointing_is_refused_by_name(language_model: nn.Module) -> None:
    language_model.train()
    enable: Any = language_model.gradient_checkpointing_enable
    enable()
    with pytest.raises(kfacd.InputError, match=r"transformer: activation checkpointing"):
        kfacd.linearize(language_model)
