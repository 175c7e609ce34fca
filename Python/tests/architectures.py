"""Small models of every architecture, with random weights and samples."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from reference import Case, Sample
from torch import Tensor, nn

VOCABULARY = 29


def stacked(samples: list[Sample]) -> tuple[Sample, Any]:
    """Samples of one length as a batch."""
    return {key: torch.cat([sample[key] for sample in samples]) for key in samples[0]}, None


def padded(samples: list[Sample]) -> tuple[Sample, Any]:
    """Token ids of several lengths as a batch with a mask."""
    length = max(sample["input_ids"].shape[1] for sample in samples)
    ids = torch.full((len(samples), length), 3)
    mask = torch.zeros(len(samples), length, dtype=torch.bool)
    for row, sample in enumerate(samples):
        count = sample["input_ids"].shape[1]
        ids[row, :count] = sample["input_ids"]
        mask[row, :count] = True
    return {"input_ids": ids, "attention_mask": mask.long()}, mask


def images(count: int = 5, size: int = 8) -> list[Sample]:
    return [{"x": torch.randn(1, 3, size, size)} for _ in range(count)]


def texts(*lengths: int) -> list[Sample]:
    return [{"input_ids": torch.randint(0, VOCABULARY, (1, length))} for length in lengths]


def by_keyword(model: nn.Module, sample: Sample) -> Tensor:
    """The model's output for all inputs, in the type of its parameters."""
    kind = next(model.parameters()).dtype
    output: Tensor = model(**{key: each.to(kind) if each.is_floating_point() else each for key, each in sample.items()})
    return output


def logits(model: nn.Module, sample: Sample) -> Tensor:
    output: Tensor = model(**sample).logits
    return output


def same(*names: str) -> dict[str, list[str]]:
    return {name: [name] for name in names}


class Attention(nn.Module):
    """Self-attention with a module for each projection; keys have no bias."""

    def __init__(self, size: int, heads: int, fused: bool = False) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        if fused:
            self.in_proj = nn.Linear(size, 3 * size)
        else:
            self.q, self.k, self.v = nn.Linear(size, size), nn.Linear(size, size, bias=False), nn.Linear(size, size)
        self.out_proj = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        projections = self.in_proj(x).chunk(3, -1) if self.fused else (self.q(x), self.k(x), self.v(x))
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in projections)
        weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1)
        output: Tensor = self.out_proj((weights @ v).transpose(1, 2).flatten(2))
        return output


class Block(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attn = Attention(size, 2)
        self.fc1, self.fc2 = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        output: Tensor = x + self.fc2(nn.functional.gelu(self.fc1(self.norm2(x))))
        return output


class VisionTransformer(nn.Module):
    def __init__(self, size: int = 6) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, size, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, size))
        self.positions = nn.Parameter(torch.randn(1, 5, size))
        self.blocks = nn.ModuleList([Block(size), Block(size)])
        self.norm, self.head = nn.LayerNorm(size), nn.Linear(size, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        output: Tensor = self.head(self.norm(tokens)[:, 0])
        return output


def vision_transformer() -> Case:
    blocks = [f"blocks.{i}.{name}" for i in range(2) for name in ("attn.q", "attn.k", "attn.v", "attn.out_proj", "fc1")]
    names = ["patches", *blocks, "blocks.0.fc2", "blocks.1.fc2", "head"]
    parameters = {"norm.weight": "norm", "norm.bias": "norm", "blocks.0.norm1.weight": "blocks.0.norm1"}
    return Case(
        VisionTransformer(),
        images(),
        by_keyword,
        stacked,
        same(*names),
        {"parameters": list(parameters)},
        parameters=parameters,
    )


class Encoder(nn.Module):
    """One layer of attention; `fused` computes with torch's own."""

    def __init__(self, fused: bool, samples_first: bool) -> None:
        super().__init__()
        self.samples_first = samples_first
        self.attention: nn.Module = (
            nn.MultiheadAttention(6, 2, batch_first=samples_first) if fused else Attention(6, 2, fused=True)
        )
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.attention, nn.MultiheadAttention):
            x = x if self.samples_first else x.transpose(0, 1)
            x = self.attention(x, x, x, need_weights=False)[0]
            x = x if self.samples_first else x.transpose(0, 1)
        else:
            x = self.attention(x)
        output: Tensor = self.head(x.tanh().mean(1))
        return output


def multihead_attention(samples_first: bool) -> Case:
    model, plain = Encoder(True, samples_first), Encoder(False, samples_first)
    plain.load_state_dict({key.replace("in_proj_", "in_proj."): value for key, value in model.state_dict().items()})
    names = same("attention.in_proj", "attention.out_proj", "head")
    samples = [{"x": torch.randn(1, 5, 6)} for _ in range(4)]
    return Case(model, samples, by_keyword, stacked, names, reference_model=plain)


class ResidualNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 12, 3, padding=1, groups=4)
        self.shortcut = nn.Conv2d(8, 12, 1, bias=False)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(12, 3)
        for each in (self.norm.running_mean, self.norm.running_var):
            assert each is not None
            each.uniform_(0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.stem(x)))
        # The rectifier changes the convolution's own output in place.
        x = self.relu(self.grouped(x)) + self.shortcut(x)
        output: Tensor = self.head(self.relu(x).mean((2, 3)))
        return output


def residual_network() -> Case:
    names = same("stem", "grouped", "shortcut", "head")
    parameters = {"norm.weight": "norm", "norm.bias": "norm"}
    options = {"parameters": list(parameters)}
    return Case(ResidualNetwork(), images(), by_keyword, stacked, names, options, parameters=parameters)


class Sound(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(2, 4, 3, stride=2, padding=1), nn.Conv1d(4, 4, 3, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.second(self.first(x).tanh()).flatten(1)
        return output


def sound() -> Case:
    samples = [{"x": torch.randn(1, 2, 12)} for _ in range(3)]
    return Case(Sound(), samples, by_keyword, stacked, same("first", "second"))


def gpt2() -> Case:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_positions=16, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    )
    layers = [f"transformer.h.0.{name}" for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")]
    names = same("transformer.wte", *layers, "lm_head")
    options = {"layers": ["*", "!*.wpe"]}
    return Case(
        model, texts(5, 3, 4), logits, padded, names, options, length=lambda sample: sample["input_ids"].shape[1]
    )


def llama() -> Case:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=16,
    )
    attention = [f"model.layers.0.self_attn.{name}_proj" for name in "qkvo"]
    mlp = [f"model.layers.0.mlp.{name}_proj" for name in ("gate", "up", "down")]
    parameters = {"model.norm.weight": "model.norm"}
    return Case(
        LlamaForCausalLM(config),
        texts(4, 6, 3),
        logits,
        padded,
        same("model.embed_tokens", *attention, *mlp, "lm_head"),
        {"parameters": ["model.norm.weight"]},
        length=lambda sample: sample["input_ids"].shape[1],
        parameters=parameters,
    )


def bert() -> Case:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
        num_labels=3,
        pad_token_id=None,
    )
    layer = "bert.encoder.layer.0"
    inner = [f"{layer}.attention.self.{name}" for name in ("query", "key", "value")]
    names = same(
        "bert.embeddings.word_embeddings",
        *inner,
        f"{layer}.attention.output.dense",
        f"{layer}.intermediate.dense",
        f"{layer}.output.dense",
        "bert.pooler.dense",
        "classifier",
    )
    options = {"layers": ["*", "!*position_embeddings", "!*token_type_embeddings"]}
    return Case(BertForSequenceClassification(config), texts(5, 2, 4, 5), logits, padded, names, options)


def t5() -> Case:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=VOCABULARY, d_model=8, d_kv=4, d_ff=12, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    model = T5ForConditionalGeneration(config)
    modules = dict(model.named_modules())
    linear = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    names = same(*linear)
    names["shared"] = [
        name
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Embedding) and "relative" not in name
    ]
    samples = [
        {"input_ids": torch.randint(0, VOCABULARY, (1, 5)), "decoder_input_ids": torch.randint(0, VOCABULARY, (1, 4))}
        for _ in range(3)
    ]
    return Case(model, samples, logits, stacked, names, {"layers": ["*", "!*relative_attention_bias"]})


def adapted(plain: Case, *targets: str, **options: Any) -> Case:
    """A model with adapters of PEFT, whose factors are those of the model inside."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=list(targets), **options)
    wrapped = get_peft_model(copy.deepcopy(plain.model), config)
    return replace(plain, model=wrapped, reference_model=plain.reference_model or plain.model)


class SplitExperts(nn.Module):
    """Routed experts with a module for each matrix, one token after the other."""

    def __init__(self, experts: Any) -> None:
        super().__init__()
        self.gate_up_proj = nn.ModuleList(linear(weight) for weight in experts.gate_up_proj)
        self.down_proj = nn.ModuleList(linear(weight) for weight in experts.down_proj)
        self.act_fn = experts.act_fn

    def forward(self, states: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        tokens: list[Tensor] = []
        for state, own, shares in zip(states, chosen.tolist(), weights, strict=True):
            total = torch.zeros_like(state)
            for expert, share in zip(own, shares, strict=True):
                gate, up = self.gate_up_proj[expert](state).chunk(2)
                total = total + share * self.down_proj[expert](self.act_fn(gate) * up)
            tokens.append(total)
        return torch.stack(tokens)


def linear(weight: Tensor) -> nn.Linear:
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    module.weight = nn.Parameter(weight.detach().clone())
    return module


def routed(model: Any) -> Case:
    """The experts of a language model; samples reach some of them, and padding none."""
    path = "model.layers.0.mlp.experts"
    for parameter in model.get_submodule(path).parameters():
        nn.init.normal_(parameter, std=0.5)
    reference = copy.deepcopy(model)
    reference.model.layers[0].mlp.experts = SplitExperts(model.get_submodule(path))
    names = [(key, index) for key in ("gate_up_proj", "down_proj") for index in range(4)]
    return Case(
        model,
        texts(4, 6, 3),
        logits,
        padded,
        {f"{path}.{key}[{index}]": [f"{path}.{key}.{index}"] for key, index in names},
        {"layers": ["*.experts.*"]},
        reference_model=reference,
        length=lambda sample: sample["input_ids"].shape[1],
    )


ROUTED: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_experts_per_tok": 2,
}


def mixtral() -> Case:
    from transformers import MixtralConfig, MixtralForCausalLM

    return routed(MixtralForCausalLM(MixtralConfig(intermediate_size=8, num_local_experts=4, **ROUTED)))


def qwen_moe() -> Case:
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    sizes = {"moe_intermediate_size": 8, "shared_expert_intermediate_size": 5}
    return routed(Qwen2MoeForCausalLM(Qwen2MoeConfig(num_experts=4, **sizes, **ROUTED)))


ARCHITECTURES = {
    "vision transformer": vision_transformer,
    "attention, samples first": lambda: multihead_attention(True),
    "attention, positions first": lambda: multihead_attention(False),
    "residual network": residual_network,
    "sound": sound,
    "GPT-2, tied": gpt2,
    "Llama": llama,
    "BERT, padded": bert,
    "T5, tied": t5,
    "Mixtral, experts": mixtral,
    "Qwen-MoE, experts": qwen_moe,
    "PEFT, Llama": lambda: adapted(llama(), "q_proj", "down_proj"),
    "PEFT, GPT-2": lambda: adapted(gpt2(), "c_attn", fan_in_fan_out=True),
    "PEFT, BERT": lambda: adapted(bert(), "query", "dense"),
}


def network_with_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.1), nn.Linear(5, 3))
