"""Factors by another way: one sample at a time in fp64, with plain hooks, and sums as DESIGN section 2.1 writes them.

Rows and gradients are checked against the gradients of the weights, which autograd computes without them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Sample = dict[str, Tensor]


@dataclass
class Case:
    """A model with samples of its own lengths, and how the package runs them as batches."""

    model: nn.Module
    samples: list[Sample]
    forward: Callable[[nn.Module, Sample], Tensor]
    """f(x) of a batch, or of one sample as a batch of one."""
    batch: Callable[[list[Sample]], tuple[Sample, Any]]
    """A batch and its mask."""
    modules: dict[str, list[str]]
    """The modules of each layer in the reference model."""
    options: dict[str, Any] = field(default_factory=dict)
    reference_model: nn.Module | None = None
    """The same function with a module for each layer, where the model computes some without."""
    length: Callable[[Sample], int] | None = None
    """Positions of a sample's output, where the batch pads them."""
    parameters: dict[str, str] = field(default_factory=dict)
    """The module of each one-dimensional parameter."""


def rows_of(module: Any, value: Tensor) -> Tensor:
    """[rows, groups · d_in] of one sample."""
    if isinstance(module, nn.Embedding):
        return torch.nn.functional.one_hot(value.reshape(-1), module.num_embeddings).double()
    if isinstance(module, nn.Conv2d):
        (height, width), (down, right) = module.kernel_size, module.stride
        assert not isinstance(module.padding, str)
        p, q = module.padding
        padded = torch.nn.functional.pad(value, (q, q, p, p))
        patches = padded.unfold(2, height, down).unfold(3, width, right)
        return patches.permute(0, 2, 3, 1, 4, 5).reshape(patches.shape[2] * patches.shape[3], -1)
    if isinstance(module, nn.Conv1d):
        assert not isinstance(module.padding, str)
        (width,), (step,), (p,) = module.kernel_size, module.stride, module.padding
        patches = torch.nn.functional.pad(value, (p, p)).unfold(2, width, step)
        return patches.permute(0, 2, 1, 3).reshape(patches.shape[2], -1)
    return value.reshape(-1, value.shape[-1])


def gradients_of(module: Any, gradient: Tensor) -> Tensor:
    """[rows, d_out] of one sample."""
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return gradient.flatten(2).transpose(1, 2).reshape(-1, gradient.shape[1])
    return gradient.reshape(-1, gradient.shape[-1])


def weight_gradient(module: Any, rows: Tensor, gradients: Tensor) -> Tensor:
    """The gradient of the weight that rows and gradients imply."""
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        groups = module.groups
        parts = zip(gradients.chunk(groups, 1), rows.chunk(groups, 1), strict=True)
        return torch.cat([g.T @ a for g, a in parts]).view(module.weight.shape)
    implied = gradients.T @ rows
    is_transposed = isinstance(module, nn.Embedding) or type(module).__name__ == "Conv1D"
    return implied.T if is_transposed else implied


def factors(case: Case, noise: list[Tensor], normalization: str) -> dict[str, Tensor]:
    """A and B of every layer, F of every parameter.

    Args:
        case: The model and its samples.
        noise: For each sample the probes [M, …] of its output.
        normalization: Of DESIGN section 2.1.
    """
    model = (case.reference_model or case.model).double()
    by_name = dict(model.named_modules(remove_duplicate=False))
    layer_of = {by_name[path]: layer for layer, paths in case.modules.items() for path in paths}
    calls: list[tuple[Any, Tensor, Tensor]] = []

    def note(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        calls.append((module, arguments[0], output))
        # The model may go on in place.
        return output.clone()

    handles = [module.register_forward_hook(note) for module in layer_of]
    probes = noise[0].shape[0]
    sums: dict[str, Tensor] = {}
    rows_total: dict[str, int] = {}

    def add(name: str, value: Tensor) -> None:
        sums[name] = sums[name] + value if name in sums else value

    for sample, draws in zip(case.samples, noise, strict=True):
        calls.clear()
        output = case.forward(model, sample)
        inputs: dict[str, list[Tensor]] = {}
        for module, value, _ in calls:
            inputs.setdefault(layer_of[module], []).append(rows_of(module, value).detach())
        for layer, parts in inputs.items():
            rows = torch.cat(parts)
            module = next(module for module, name in layer_of.items() if name == layer)
            rows_total[layer] = rows_total.get(layer, 0) + rows.shape[0]
            groups = getattr(module, "groups", 1)
            for group, own in enumerate(rows.chunk(groups, 1)):
                if getattr(module, "bias", None) is not None:
                    own = torch.cat([own, torch.ones(own.shape[0], 1, dtype=own.dtype)], 1)
                own = own.mean(0, keepdim=True) if normalization == "reduce" else own
                add(f"{group_name(module, layer, group)}.A", own.T @ own)
        for draw in draws:
            scalar = (output * draw.double().view(output.shape)).sum()
            _add_gradients(case, model, layer_of, calls, scalar, normalization, add)
    for handle in handles:
        handle.remove()
    samples = len(case.samples)
    result: dict[str, Tensor] = {}
    for name, total in sums.items():
        owner, side = name.rsplit(".", 1)
        count = rows_total.get(owner, rows_total.get(owner.split("[")[0], 0))
        if side == "A":
            result[name] = total / (samples if normalization == "reduce" else count)
        else:
            result[name] = total / (count * probes if side == "B" and normalization == "tak" else samples * probes)
    return result


def exact_traces(case: Case, noise: list[Tensor]) -> dict[str, Tensor]:
    """The mean of ‖Σ_p g_p ã_pᵀ‖² over samples and probes, by layer.

    Args:
        case: The model and its samples.
        noise: For each sample the probes [M, …] of its output.
    """
    model = (case.reference_model or case.model).double()
    by_name = dict(model.named_modules(remove_duplicate=False))
    layer_of = {by_name[path]: layer for layer, paths in case.modules.items() for path in paths}
    calls: list[tuple[Any, Tensor, Tensor]] = []

    def note(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        calls.append((module, arguments[0], output))
        return output.clone()

    handles = [module.register_forward_hook(note) for module in layer_of]
    sums: dict[str, Tensor] = {}
    for sample, draws in zip(case.samples, noise, strict=True):
        calls.clear()
        output = case.forward(model, sample)
        for draw in draws:
            scalar = (output * draw.double().view(output.shape)).sum()
            found = torch.autograd.grad(scalar, [each for _, _, each in calls], retain_graph=True)
            products: dict[str, Tensor] = {}
            for (module, value, _), gradient in zip(calls, found, strict=True):
                groups = getattr(module, "groups", 1)
                own = gradients_of(module, gradient).chunk(groups, 1)
                rows = rows_of(module, value).detach().chunk(groups, 1)
                for group, (g, a) in enumerate(zip(own, rows, strict=True)):
                    if getattr(module, "bias", None) is not None:
                        a = torch.cat([a, torch.ones(a.shape[0], 1, dtype=a.dtype)], 1)
                    name = group_name(module, layer_of[module], group)
                    products[name] = products.get(name, torch.zeros(())) + g.T @ a
            for name, product in products.items():
                sums[name] = sums.get(name, torch.zeros(())) + product.square().sum()
    for handle in handles:
        handle.remove()
    return {name: total / (len(case.samples) * noise[0].shape[0]) for name, total in sums.items()}


def _add_gradients(
    case: Case,
    model: nn.Module,
    layer_of: dict[Any, str],
    calls: list[tuple[Any, Tensor, Tensor]],
    scalar: Tensor,
    normalization: str,
    add: Callable[[str, Tensor], None],
) -> None:
    named = dict(model.named_parameters())
    weights = list({id(module.weight): module.weight for module in layer_of}.values())
    wanted = [output for _, _, output in calls] + weights + [named[name] for name in case.parameters]
    # A sample reaches some experts only.
    found = torch.autograd.grad(scalar, wanted, retain_graph=True, allow_unused=True)
    implied: dict[int, Tensor] = {}
    gradients: dict[str, list[Tensor]] = {}
    modules: dict[str, Any] = {}
    for (module, value, _), gradient in zip(calls, found, strict=False):
        own = gradients_of(module, gradient)
        gradients.setdefault(layer_of[module], []).append(own)
        modules[layer_of[module]] = module
        part = weight_gradient(module, rows_of(module, value), own)
        implied[id(module.weight)] = implied.get(id(module.weight), torch.zeros(())) + part
    for weight, gradient in zip(weights, found[len(calls) :], strict=False):
        if gradient is None:
            assert id(weight) not in implied
            continue
        torch.testing.assert_close(implied[id(weight)], gradient, rtol=1e-9, atol=1e-9)
    for layer, parts in gradients.items():
        rows = torch.cat(parts)
        groups = getattr(modules[layer], "groups", 1)
        for group, own in enumerate(rows.chunk(groups, 1)):
            own = own.sum(0, keepdim=True) if normalization == "reduce" else own
            add(f"{group_name(modules[layer], layer, group)}.B", own.T @ own)
    for name, gradient in zip(case.parameters, found[len(calls) + len(weights) :], strict=True):
        add(f"{name}.F", torch.outer(gradient, gradient))


def group_name(module: Any, layer: str, group: int) -> str:
    """The address of a group of a convolution."""
    groups = getattr(module, "groups", 1)
    if groups == 1:
        return layer
    size = module.out_channels // groups
    return f"{layer}[{group * size}:{(group + 1) * size}]"
