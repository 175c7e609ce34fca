"""Measure what collecting curvature adds to a forward and a backward pass, beside two other packages.

    OMP_NUM_THREADS=1 python3 Benchmarks/collection_overhead.py --model minilm
    OMP_NUM_THREADS=1 python3 Benchmarks/collection_overhead.py --model vit-b --rounds 5 --only kfacd frozen
    OMP_NUM_THREADS=1 python3 Benchmarks/collection_overhead.py --model vit-b --memory

It needs kfacd and transformers, and kronfluence and curvlinops-for-pytorch to compare with. PyTorch and NumPy both read
the number of threads from OMP_NUM_THREADS.

The models have the real configurations and random weights: MiniLM (6 layers, width 384) on 32 sequences of 32 to 128
tokens, whose features are means over the tokens; `minilm-full`, the same with 128 tokens each; ViT-B/16 on 8 images,
whose features are those of the first token. Every package sums A and B of all linear layers for one probe of the
features, over the same batch:

    plain        the forward pass, and the backward pass of a probe with the gradients of all parameters
    frozen       the same without the gradients of parameters
    kfacd        one step of kfacd.collect
    kfacd-mlp    the same for the layers of the MLPs only
    kronfluence  one step of its fit_covariance_matrices_with_loader, with its mask
    curvlinops   compute_kronecker_factors of its KFACLinearOperator (MSELoss, fisher_type="mc"); it has no masks

In a round each of them runs once, directly after a plain pass, and its ratio is to that pass. With one thread the time
is the processor's, so that other programs disturb it little; with more it is the clock's. Prints JSON: the median, the
least and the largest ratio over the rounds. `floor` is the least ratio that the number of operations allows: the
operations of `frozen`, and half of each symmetric product over the rows that count, over those of `plain`.

`--memory` runs each of them in a process of its own, and prints how much its largest resident set exceeds the one
before the first pass, in MiB.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

Step = Callable[[], object]
MEMORY_STEPS = 2


class Features(nn.Module):
    """From a batch to features, [samples, width]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        hidden = self.model(**batch).last_hidden_state
        if "attention_mask" not in batch:
            return hidden[:, 0]
        weights = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


@dataclass
class Setting:
    """A model in evaluation mode, a batch, the mask of its positions, and a probe of its features."""

    model: Features
    batch: dict[str, Tensor]
    mask: Tensor | None
    probe: Tensor
    mlp: list[str]

    @property
    def linear(self) -> dict[str, nn.Linear]:
        return {name: each for name, each in self.model.named_modules() if isinstance(each, nn.Linear)}

    def with_inputs(self) -> tuple[Tensor, Tensor]:
        """The first block's input, which needs a gradient, and the features."""
        block = next(each for each in self.model.modules() if isinstance(each, nn.ModuleList))[0]
        inputs: list[Tensor] = []

        def begin(_: nn.Module, arguments: tuple, options: dict) -> tuple[tuple, dict]:
            inputs.append(arguments[0].detach().requires_grad_())
            return (inputs[0], *arguments[1:]), options

        with block.register_forward_pre_hook(begin, with_kwargs=True):
            output = self.model(self.batch)
        return inputs[0], output


def minilm(shortest: int) -> Setting:
    from transformers import BertConfig, BertModel

    samples = 32
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    model = Features(BertModel(BertConfig(vocab_size=30522, **sizes), add_pooling_layer=False)).eval()
    mask = torch.arange(128) < torch.linspace(shortest, 128, samples).round().unsqueeze(-1)
    batch = {"input_ids": torch.randint(1000, 30000, (samples, 128)), "attention_mask": mask.long()}
    return Setting(model, batch, mask, torch.randn(samples, 384), ["*.intermediate.*", "*.output.*", "!*.attention.*"])


def vit_b() -> Setting:
    from transformers import ViTConfig, ViTModel

    samples = 8
    model = Features(ViTModel(ViTConfig(), add_pooling_layer=False)).eval()
    return Setting(
        model, {"pixel_values": torch.randn(samples, 3, 224, 224)}, None, torch.randn(samples, 768), ["*.mlp.*"]
    )


MODELS = {"minilm": lambda: minilm(32), "minilm-full": lambda: minilm(128), "vit-b": vit_b}


def plain(setting: Setting) -> Step:
    def step() -> None:
        setting.model.zero_grad()
        setting.model(setting.batch).backward(setting.probe)

    return step


def frozen(setting: Setting) -> Step:
    def step() -> None:
        inputs, output = setting.with_inputs()
        torch.autograd.grad(output, inputs, setting.probe)

    return step


def kfacd(setting: Setting, layers: list[str] | None = None) -> Step:
    import kfacd

    # The copy alone has its hooks, and keeps them.
    model = copy.deepcopy(setting.model)
    names = layers or list(setting.linear)
    collection = kfacd.collect(model, task="overhead", probes=1, layers=names).__enter__()
    return lambda: collection.step(model(setting.batch), mask=setting.mask)


def kronfluence(setting: Setting) -> Step:
    from kronfluence.analyzer import prepare_model
    from kronfluence.arguments import FactorArguments
    from kronfluence.factor.covariance import (
        ModuleMode,
        get_tracked_module_names,
        set_attention_mask,
        set_mode,
        update_factor_args,
    )
    from kronfluence.task import Task

    class Probe(Task):
        def compute_train_loss(self, batch: dict[str, Tensor], model: nn.Module, sample: bool = False) -> Tensor:
            return (model(batch) * setting.probe).sum()

        def compute_measurement(self, batch: dict[str, Tensor], model: nn.Module) -> Tensor:
            raise NotImplementedError

        def get_influence_tracked_modules(self) -> list[str]:
            return list(setting.linear)

    task = Probe()
    model = prepare_model(copy.deepcopy(setting.model), task)
    update_factor_args(model=model, factor_args=FactorArguments(strategy="kfac"))
    names = get_tracked_module_names(model=model)
    set_mode(model=model, tracked_module_names=names, mode=ModuleMode.COVARIANCE, release_memory=True)

    def step() -> None:
        if setting.mask is not None:
            set_attention_mask(model=model, attention_mask=setting.mask.long())
        model.zero_grad(set_to_none=True)
        task.compute_train_loss(setting.batch, model, sample=True).backward()

    return step


def curvlinops(setting: Setting) -> Step:
    from curvlinops import KFACLinearOperator

    samples, width = setting.probe.shape
    parameters = [each for module in setting.linear.values() for each in module.parameters()]
    operator = KFACLinearOperator(
        setting.model,
        nn.MSELoss(reduction="sum"),
        parameters,
        [(setting.batch, torch.zeros(samples, width))],
        check_deterministic=False,
        fisher_type="mc",
        num_per_example_loss_terms=1,
        num_data=samples,
        batch_size_fn=lambda batch: len(next(iter(batch.values()))),
        separate_weight_and_bias=False,
    )
    return operator.compute_kronecker_factors


CONTENDERS: dict[str, Callable[[Setting], Step]] = {
    "plain": plain,
    "frozen": frozen,
    "kfacd": kfacd,
    "kfacd-mlp": lambda setting: kfacd(setting, setting.mlp),
    "kronfluence": kronfluence,
    "curvlinops": curvlinops,
}


def floor(setting: Setting) -> float:
    """Operations that kfacd cannot avoid, over those of a plain pass.

    These are those of a plain pass, less the gradients of weights, more half of each symmetric product.
    """
    inputs: dict[int, Tensor] = {}
    extra = 0

    def note(module: nn.Linear, arguments: tuple[Tensor], _: Tensor) -> None:
        nonlocal extra
        value = arguments[0]
        rows = value[..., 0].numel()
        counted = rows if setting.mask is None else int(setting.mask.sum())
        extra += counted * module.out_features**2 - 2 * rows * module.weight.numel()
        if id(value) not in inputs:
            # Kept, so that its address is that of no later tensor.
            inputs[id(value)] = value
            extra += counted * module.in_features**2

    handles = [module.register_forward_hook(note) for module in setting.linear.values()]
    with torch.no_grad():
        setting.model(setting.batch)
    for handle in handles:
        handle.remove()
    # The fused kernels of attention are not counted.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as whole:
        plain(setting)()
    return 1 + extra / whole.get_total_flops()


def measure(setting: Setting, names: list[str], rounds: int, threads: int) -> dict[str, object]:
    clock = time.process_time if threads == 1 else time.perf_counter
    steps = {name: CONTENDERS[name](setting) for name in dict.fromkeys(["plain", *names])}
    for step in steps.values():
        step()

    def seconds(step: Step) -> float:
        start = clock()
        step()
        return clock() - start

    ratios: dict[str, list[float]] = {name: [] for name in names}
    plain_seconds: list[float] = []
    for _ in range(rounds):
        for name in names:
            plain_seconds.append(seconds(steps["plain"]))
            ratios[name].append(seconds(steps[name]) / plain_seconds[-1])
    return {
        "plain_seconds": round(statistics.median(plain_seconds), 3),
        "floor": round(floor(setting), 3),
        **{
            name: {"median": round(statistics.median(each), 3), "from": round(min(each), 3), "to": round(max(each), 3)}
            for name, each in ratios.items()
        },
    }


def resident_mebibytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what collecting curvature adds to a pass.")
    parser.add_argument("--model", choices=MODELS, default="minilm")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="all by default")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--memory-of", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    names = arguments.only or list(CONTENDERS)

    if arguments.memory:
        base = [sys.executable, __file__, "--model", arguments.model]
        for name in names:
            subprocess.run([*base, "--memory-of", name], check=True)
        return
    setting = MODELS[arguments.model]()
    if name := arguments.memory_of:
        step = CONTENDERS[name](setting)
        before = resident_mebibytes()
        for _ in range(MEMORY_STEPS):
            step()
        print(json.dumps({"model": arguments.model, "of": name, "mebibytes": resident_mebibytes() - before}))
        return
    versions = {"torch": torch.__version__, "threads": torch.get_num_threads(), "model": arguments.model}
    print(json.dumps(versions | measure(setting, names, arguments.rounds, torch.get_num_threads()), indent=1))


if __name__ == "__main__":
    main()
