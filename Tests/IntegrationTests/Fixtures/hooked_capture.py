"""Captures as a user makes them: hooks on the modules of a float32 model that runs on whole batches.

Weights that belong to no module of their own, the projections of torch.nn.MultiheadAttention and the experts of
Mixtral, are reached by a patched torch.nn.functional.linear and by a copy of the experts' forward pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F
from architectures import PROBES, Architecture, Batch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

Tensors = dict[str, Tensor]


class Capture:
    """The rows of one batch: inputs once, gradients probe after probe."""

    def __init__(self, architecture: Architecture, batch: Batch) -> None:
        self.architecture = architecture
        self.mask = None if architecture.mask is None else batch[architecture.mask].bool()
        self.samples = len(next(iter(batch.values())))
        self.inputs: Tensors = {}
        self.gradients: dict[str, list[Tensor]] = {}
        self.row_samples: Tensors = {}
        self.scales: dict[str, list[Tensor]] = {}

    # Rows

    def rows(self, name: str, x: Tensor) -> Tensor:
        """The rows [rows, d] of a tensor [samples, ..., d], without padding."""
        if self.mask is not None and x.dim() == 3:
            self.row_samples[name] = self.mask.nonzero()[:, 0]
            return x[self.mask]
        return x.reshape(-1, x.shape[-1])

    def add_input(self, name: str, rows: Tensor) -> None:
        parts = self.architecture.parts.get(name, [name])
        groups = self.architecture.groups.get(name, 1)
        for part, own in zip(parts, rows.chunk(groups, 1) if groups > 1 else [rows] * len(parts)):
            self.inputs[part] = own.detach().clone()
            if name in self.row_samples:
                self.row_samples[part] = self.row_samples[name]

    def add_gradient(self, name: str, rows: Tensor) -> None:
        parts = self.architecture.parts.get(name, [name])
        for part, own in zip(parts, rows.chunk(len(parts), 1)):
            self.gradients.setdefault(part, []).append(own.detach().clone())

    # Modules

    def hook_layer(self, name: str, module: nn.Module) -> None:
        def forward(_: nn.Module, arguments: tuple[Tensor]) -> None:
            x = arguments[0]
            if isinstance(module, nn.Conv2d):
                x = F.unfold(x, module.kernel_size, padding=module.padding, stride=module.stride).mT
            self.add_input(name, self.rows(name, x))

        def backward(_: nn.Module, __: object, gradients: tuple[Tensor]) -> None:
            g = gradients[0]
            self.add_gradient(name, self.rows(name, g.flatten(2).mT if isinstance(module, nn.Conv2d) else g))

        module.register_forward_pre_hook(forward)
        module.register_full_backward_hook(backward)

    def hook_norm(self, name: str, module: nn.Module) -> None:
        """The gradients of a norm's scale and shift, sample by sample."""
        seen: list[Tensor] = []

        def normalized(x: Tensor) -> Tensor:
            if isinstance(module, nn.BatchNorm2d):
                return F.batch_norm(x, module.running_mean, module.running_var, eps=module.eps).flatten(2).mT
            if isinstance(module, nn.LayerNorm):
                return F.layer_norm(x, module.normalized_shape, eps=module.eps)
            return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + module.variance_epsilon)

        def forward(_: nn.Module, arguments: tuple[Tensor]) -> None:
            seen[:] = [normalized(arguments[0].detach())]

        def backward(_: nn.Module, __: object, gradients: tuple[Tensor]) -> None:
            g = gradients[0].flatten(2).mT if isinstance(module, nn.BatchNorm2d) else gradients[0]
            self.scales.setdefault(name + ".weight", []).append((g * seen[0]).sum(1))
            if getattr(module, "bias", None) is not None:
                self.scales.setdefault(name + ".bias", []).append(g.sum(1))

        module.register_forward_pre_hook(forward)
        module.register_full_backward_hook(backward)

    def hook_experts(self, name: str, module: nn.Module) -> None:
        """Replaces the forward pass by one that sees the tokens of each expert."""
        def apply(part: str, x: Tensor, weight: Tensor, samples: Tensor) -> Tensor:
            self.row_samples[part] = samples
            self.add_input(part, x)
            y = F.linear(x, weight)
            y.register_hook(lambda g: self.add_gradient(part, g))
            return y

        def forward(hidden: Tensor, index: Tensor, weights: Tensor) -> Tensor:
            result = torch.zeros_like(hidden)
            tokens = len(hidden) // self.samples
            for expert in range(module.num_experts):
                token, place = (index == expert).nonzero(as_tuple=True)
                samples = token // tokens
                gate, up = apply(f"{name}.gate_up_proj[{expert}]", hidden[token], module.gate_up_proj[expert],
                                 samples).chunk(2, -1)
                own = apply(f"{name}.down_proj[{expert}]", module.act_fn(gate) * up, module.down_proj[expert], samples)
                result = result.index_add(0, token, own * weights[token, place, None])
            return result

        module.forward = forward

    @contextmanager
    def patched_projections(self, names: dict[int, str]) -> Iterator[None]:
        """Sees the projections of attention, whose rows may go [tokens, samples]."""
        original = F.linear

        def order(x: Tensor) -> Tensor:
            if not self.architecture.sequence_first:
                return x.reshape(-1, x.shape[-1])
            return x.reshape(-1, self.samples, x.shape[-1]).transpose(0, 1).reshape(-1, x.shape[-1])

        def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
            y = original(x, weight, bias)
            if name := names.get(id(weight)):
                self.add_input(name, order(x))
                y.register_hook(lambda g: self.add_gradient(name, order(g)))
            return y

        with mock.patch.object(F, "linear", linear):
            yield

    # The file

    def tensors(self) -> Tensors:
        result: Tensors = {}
        for name, rows in self.inputs.items():
            result[name + ".input"] = rows
            empty = [torch.zeros(0, 0)] * PROBES
            result[name + ".output_grad"] = torch.cat(self.gradients.get(name, empty))
            if name in self.row_samples:
                result[name + ".row_samples"] = self.row_samples[name].to(torch.int32)
        for name, gradients in self.scales.items():
            result[name + ".grad"] = torch.cat(gradients)
        return {name: value.detach().clone().contiguous() for name, value in result.items()}


def capture(architecture: Architecture, module: nn.Module, batch: Batch, probes: Tensor) -> Tensors:
    """The capture of a batch; probes are [samples, M, ...], one gradient of Σ ε f for each.

    `module` is hooked, so it must be a copy.
    """
    result = Capture(architecture, batch)
    # Hooks see no gradients where nothing needs one, as in the frozen layers of an adapter.
    module.requires_grad_(True)
    embeddings = {id(own.weight) for own in module.modules() if isinstance(own, nn.Embedding)}
    projections: dict[int, str] = {}
    for name, own in module.named_modules():
        if isinstance(own, nn.MultiheadAttention):
            projections |= {id(own.in_proj_weight): name + ".in_proj", id(own.out_proj.weight): name + ".out_proj"}
        elif type(own).__name__ == "MixtralTopKRouter":
            projections[id(own.weight)] = name
        elif type(own).__name__ == "MixtralExperts":
            result.hook_experts(name, own)
        elif isinstance(own, nn.BatchNorm2d | nn.LayerNorm) or type(own).__name__.endswith(("RMSNorm", "T5LayerNorm")):
            result.hook_norm(name, own)
        elif type(own) in (nn.Linear, nn.Conv2d, Conv1D) and ".lora_" not in name:
            # A head that is tied to the embedding has no factors.
            if id(own.weight) not in embeddings:
                result.hook_layer(name, own)
    with result.patched_projections(projections):
        outputs = architecture.outputs(module, batch)
        for probe in probes.unbind(1):
            (outputs * probe).sum().backward(retain_graph=True)
    return result.tensors()
