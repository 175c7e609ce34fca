"""Tiny models of common architectures, their data, and the names of their layers in a checkpoint.

Every class is the library's own: transformers, PEFT and torch.nn. Only the residual network is written here, as
torchvision writes it. Weights are drawn by a seed, because untrained ones are too small for a comparison.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

PROBES = 2
SAMPLES = {"satellite": 13, "digits": 12}
VOCABULARY = 16

Batch = dict[str, Tensor]


@dataclass
class Architecture:
    """A model, what it computes, and what is captured of it.

    `module` computes f: `outputs(module, batch)` has the shape [samples, ...]. A batch has tensors [samples, ...] of
    one length; `mask` is its tensor of tokens that are no padding, if there are any.
    """

    name: str
    module: nn.Module
    outputs: Callable[[nn.Module, Batch], Tensor]
    data: Callable[[torch.Generator, int], Batch]
    save: Callable[[nn.Module, Path], None]
    tune: Callable[[nn.Module, torch.Generator], nn.Module]
    """The fine-tuned model of a generator."""
    parts: dict[str, list[str]] = field(default_factory=dict)
    """The names of a layer's parts, if they are captured one by one: equal shares of its output."""
    stored_names: Callable[[str], str] = lambda name: name
    """The name that a captured layer has in the checkpoint; only the expected values use it."""
    groups: dict[str, int] = field(default_factory=dict)
    """The groups of each grouped convolution."""
    mask: str | None = None
    sequence_first: bool = False
    """Whether attention works on [tokens, samples, ...] inside."""
    normalization_of_partials: str = "tak"


def redraw(module: nn.Module, seed: int) -> nn.Module:
    """Draws all weights so that every layer has an effect of order one."""
    generator = torch.Generator().manual_seed(seed)

    def normal(value: Tensor) -> Tensor:
        return torch.randn(value.shape, generator=generator)

    with torch.no_grad():
        for name, value in module.named_parameters():
            if value.dim() == 1 and name.endswith("weight"):
                value.copy_(1 + 0.2 * normal(value))
            elif value.dim() == 1:
                value.copy_(0.3 * normal(value))
            else:
                value.copy_(normal(value) / value[0].numel() ** 0.5 * 1.2)
        for name, value in module.named_buffers():
            if name.endswith("running_mean"):
                value.copy_(0.3 * normal(value))
            elif name.endswith("running_var"):
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
            elif name.endswith("num_batches_tracked"):
                value.fill_(100)
    return module.eval()


def tune(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """A copy with all parameters moved by a tenth, and with buffers of its own."""
    tuned = copy.deepcopy(module)
    with torch.no_grad():
        for value in tuned.parameters():
            scale = 0.1 * max(value.std().item(), 0.1)
            value.add_(scale * torch.randn(value.shape, generator=generator))
        for name, value in tuned.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.mul_(1.1)
            elif name.endswith("num_batches_tracked"):
                value.add_(7)
    return tuned


def save_pretrained(module: nn.Module, path: Path) -> None:
    module.save_pretrained(path)


def save_state(module: nn.Module, path: Path) -> None:
    save_file(module.state_dict(), path.with_suffix(".safetensors"), {"format": "pt"})


def tokens(length: int) -> Callable[[torch.Generator, int], Batch]:
    def data(generator: torch.Generator, count: int) -> Batch:
        return {"input_ids": torch.randint(1, VOCABULARY, (count, length), generator=generator)}
    return data


def logits(module: nn.Module, batch: Batch) -> Tensor:
    return module(**batch, use_cache=False).logits


def gpt2() -> Architecture:
    from transformers import GPT2Config, GPT2LMHeadModel
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=8, n_embd=8, n_layer=2, n_head=2, n_inner=12)
    return Architecture("gpt2", redraw(GPT2LMHeadModel(config), 1), logits, tokens(5), save_pretrained, tune)


def t5() -> Architecture:
    """An encoder and a decoder that see sequences of different lengths; the head is tied to the embedding."""
    from transformers import T5Config, T5ForConditionalGeneration
    config = T5Config(vocab_size=VOCABULARY, d_model=8, d_kv=4, d_ff=12, num_layers=1, num_decoder_layers=1,
                      num_heads=2, relative_attention_num_buckets=4, decoder_start_token_id=0)

    def data(generator: torch.Generator, count: int) -> Batch:
        sources, targets = tokens(4)(generator, count), tokens(2)(generator, count)
        return sources | {"decoder_input_ids": targets["input_ids"]}

    return Architecture("t5", redraw(T5ForConditionalGeneration(config), 2), logits, data, save_pretrained, tune)


EXPERTS = 3


def mixtral_model(layers: int) -> nn.Module:
    from transformers import MixtralConfig, MixtralForCausalLM
    config = MixtralConfig(vocab_size=VOCABULARY, hidden_size=8, intermediate_size=6, num_hidden_layers=layers,
                           num_attention_heads=2, num_key_value_heads=1, num_local_experts=EXPERTS,
                           max_position_embeddings=8)
    config._experts_implementation = "eager"
    return redraw(MixtralForCausalLM(config), 3)


def mixtral() -> Architecture:
    """As save_pretrained writes it: one matrix for each expert, of which the model fuses two."""
    def stored(name: str) -> str:
        return name.replace(".mlp.gate", ".block_sparse_moe.gate").replace(".mlp.", ".block_sparse_moe.")

    parts = {}
    for layer in range(2):
        for expert in range(EXPERTS):
            experts = f"model.layers.{layer}.mlp.experts"
            parts[f"{experts}.gate_up_proj[{expert}]"] = [f"{experts}.{expert}.w1", f"{experts}.{expert}.w3"]
            parts[f"{experts}.down_proj[{expert}]"] = [f"{experts}.{expert}.w2"]
    return Architecture("mixtral", mixtral_model(2), logits, tokens(4), save_pretrained, tune, parts=parts,
                        stored_names=stored, normalization_of_partials="reduce")


def mixtral_fused() -> Architecture:
    """With the experts as the model holds them: tensors [experts, d_out, d_in]."""
    def save(module: nn.Module, path: Path) -> None:
        module.save_pretrained(path, save_original_format=False)

    return Architecture("mixtral-fused", mixtral_model(1), logits, tokens(4), save, tune)


class Block(nn.Module):
    """A residual block; its second convolution has two groups, as in ResNeXt."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, groups=2, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                                            nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(h + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, 1, 1)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(Block(4, 4, 1))
        self.layer2 = nn.Sequential(Block(4, 6, 2))
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(h.mean((2, 3)))


def images(module: nn.Module, batch: Batch) -> Tensor:
    return module(batch["images"])


def resnet() -> Architecture:
    def data(generator: torch.Generator, count: int) -> Batch:
        return {"images": torch.randn(count, 2, 4, 4, generator=generator)}

    groups = {"layer1.0.conv2": 2, "layer2.0.conv2": 2}
    parts = {"layer1.0.conv2": ["layer1.0.conv2[0:2]", "layer1.0.conv2[2:4]"],
             "layer2.0.conv2": ["layer2.0.conv2[0:3]", "layer2.0.conv2[3:6]"]}
    return Architecture("resnet", redraw(ResNet(), 4), images, data, save_state, tune, parts=parts, groups=groups)


class Transformer(nn.Module):
    """torch.nn's encoder with its fused attention projections, and a classifier of the first token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(8, 2, 12, dropout=0, batch_first=True, activation="gelu") for _ in range(2))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        for layer in self.layers:
            h = layer(h)
        return self.head(h[:, 0])


def attention() -> Architecture:
    """The first layer's projections are captured as they are stored, the second's one by one."""
    def data(generator: torch.Generator, count: int) -> Batch:
        return {"images": torch.randn(count, 4, 6, generator=generator)}

    projection = "layers.1.self_attn.in_proj"
    parts = {projection: [f"{projection}[0:8]", f"{projection}[8:16]", f"{projection}[16:24]"]}
    return Architecture("attention", redraw(Transformer(), 5), images, data, save_state, tune, parts=parts,
                        sequence_first=True)


def encoder() -> Architecture:
    """BERT on sequences of different lengths in one batch; padding is on the right, and is left out."""
    from transformers import BertConfig, BertForSequenceClassification
    config = BertConfig(vocab_size=VOCABULARY, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=12, max_position_embeddings=8, num_labels=4)

    def data(generator: torch.Generator, count: int) -> Batch:
        ids = tokens(6)(generator, count)["input_ids"]
        lengths = torch.randint(1, 7, (count, 1), generator=generator)
        mask = torch.arange(6) < lengths
        return {"input_ids": ids * mask, "attention_mask": mask.long()}

    def outputs(module: nn.Module, batch: Batch) -> Tensor:
        return module(**batch).logits

    return Architecture("encoder", redraw(BertForSequenceClassification(config), 6), outputs, data, save_pretrained,
                        tune, mask="attention_mask", normalization_of_partials="reduce")


def adapter() -> Architecture:
    """Llama with a LoRA adapter of PEFT; the checkpoints are those of merge_and_unload."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=8, intermediate_size=12, num_hidden_layers=2,
                         num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=8)
    base = redraw(LlamaForCausalLM(config), 7)

    def wrap() -> nn.Module:
        wanted = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"])
        return get_peft_model(copy.deepcopy(base), wanted).eval()

    def tuned(_: nn.Module, generator: torch.Generator) -> nn.Module:
        wrapped = wrap()
        with torch.no_grad():
            for name, value in wrapped.named_parameters():
                if "lora_" in name:
                    value.copy_(0.2 * torch.randn(value.shape, generator=generator))
        return wrapped.merge_and_unload()

    def save(module: nn.Module, path: Path) -> None:
        (module.merge_and_unload() if hasattr(module, "merge_and_unload") else module).save_pretrained(path)

    def stored(name: str) -> str:
        return name.removeprefix("base_model.model.").replace(".base_layer", "")

    return Architecture("adapter", wrap(), logits, tokens(4), save, tuned, stored_names=stored)


def all_architectures() -> list[Architecture]:
    return [gpt2(), t5(), mixtral(), mixtral_fused(), resnet(), attention(), encoder(), adapter()]
