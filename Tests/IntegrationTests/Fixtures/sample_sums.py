"""Sums of rows in float64, one sample after the other, without hooks, batches or padding.

Every use of a weight is found by the weight's memory, whatever module computes with it. Its output gets an offset of
zeros, and the gradient with respect to the offset is that of the output. The product of gradients and inputs must be
autograd's gradient of the weight; so rows, columns and layouts are those that the model computes with.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

import torch
import torch.nn.functional as F
from architectures import Architecture, Batch
from torch import Tensor, nn


@dataclass
class Use:
    """A weight's use: its rows [rows, d_in], the output's offset, and what makes a gradient of it rows."""

    name: str
    rows: Tensor
    offset: Tensor
    as_rows: Callable[[Tensor], Tensor]


@dataclass
class SampleRows:
    """What one sample gives: inputs [rows, d_in], gradients [M, rows, d_out], and gradients of parameters [M, d]."""

    inputs: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    parameters: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def float64_throughout() -> Iterator[None]:
    """Keeps a model from computing its norms, positions and routes in float32."""
    to = Tensor.to

    def wide(value: object) -> object:
        return torch.float64 if value is torch.float32 else value

    def to_wide(self: Tensor, *arguments: object, **named: object) -> Tensor:
        return to(self, *map(wide, arguments), **{key: wide(value) for key, value in named.items()})

    with mock.patch.object(Tensor, "to", to_wide), mock.patch.object(Tensor, "float", Tensor.double):
        yield


class Uses:
    """Finds the uses of weights while the model runs on one sample."""

    def __init__(self, architecture: Architecture, module: nn.Module, layers: set[str]) -> None:
        self.architecture = architecture
        self.layers = layers
        self.parameters = dict(module.named_parameters())
        self.uses: list[Use] = []

    def name(self, weight: Tensor) -> str | None:
        """The captured layer whose weight lies in this memory."""
        for stored, parameter in self.parameters.items():
            start = parameter.data_ptr()
            if not start <= weight.data_ptr() < start + parameter.nbytes:
                continue
            layer = stored.removesuffix("_weight") if stored.endswith("_weight") else stored.removesuffix(".weight")
            if parameter.dim() == 3 and weight.dim() == 2:
                layer += f"[{(weight.data_ptr() - start) // parameter[0].nbytes}]"
            names = self.architecture.parts.get(layer, [layer])
            return layer if names[0] in self.layers else None
        return None

    def moved(self, weight: Tensor, rows: Tensor, y: Tensor, as_rows: Callable[[Tensor], Tensor]) -> Tensor:
        name = self.name(weight)
        if name is None:
            return y
        assert rows.dtype == y.dtype == torch.float64, (name, rows.dtype)
        offset = torch.zeros_like(y, requires_grad=True)
        self.uses.append(Use(name, rows.detach(), offset, as_rows))
        return y + offset

    @contextmanager
    def found(self) -> Iterator[None]:
        linear, addmm, conv2d = F.linear, torch.addmm, F.conv2d

        def flat(y: Tensor) -> Tensor:
            return y.reshape(-1, y.shape[-1])

        def tapped_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
            return self.moved(weight, flat(x), linear(x, weight, bias), flat)

        def tapped_addmm(bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
            return self.moved(weight, flat(x), addmm(bias, x, weight), flat)

        def tapped_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int],
                          padding: tuple[int, int], dilation: tuple[int, int], groups: int) -> Tensor:
            y = conv2d(x, weight, bias, stride, padding, dilation, groups)
            return self.moved(weight, patches(x[0], weight.shape[2:], stride, padding), y,
                              lambda g: g[0].permute(1, 2, 0).reshape(-1, g.shape[1]))

        with mock.patch.object(F, "linear", tapped_linear), mock.patch.object(torch, "addmm", tapped_addmm), \
                mock.patch.object(F, "conv2d", tapped_conv2d):
            yield


def patches(image: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """The patch [channels, lines, columns] of every place, one row each."""
    padded = F.pad(image, (padding[1], padding[1], padding[0], padding[0]))
    rows = [padded[:, i:i + kernel[0], j:j + kernel[1]].reshape(-1)
            for i in range(0, padded.shape[1] - kernel[0] + 1, stride[0])
            for j in range(0, padded.shape[2] - kernel[1] + 1, stride[1])]
    return torch.stack(rows)


def sample_rows(architecture: Architecture, module: nn.Module, batch: Batch, probes: Tensor, layers: set[str],
                parameters: set[str]) -> Iterator[SampleRows]:
    """The rows of each sample of a batch; `module` is the float32 model, and probes are [samples, M, ...]."""
    double = copy.deepcopy(module).double()
    double.requires_grad_(True)
    for sample in range(len(probes)):
        own = {key: value[sample:sample + 1] for key, value in batch.items()}
        if architecture.mask is not None:
            length = int(own[architecture.mask].sum())
            own = {key: value[:, :length] for key, value in own.items()}
        own = {key: value.double() if value.is_floating_point() else value for key, value in own.items()}
        finder = Uses(architecture, double, layers)
        with float64_throughout(), finder.found():
            outputs = architecture.outputs(double, own)
        assert outputs.dtype == torch.float64
        yield one_sample(architecture, double, finder.uses, outputs, probes[sample].double(), parameters)


def one_sample(architecture: Architecture, module: nn.Module, uses: list[Use], outputs: Tensor, probes: Tensor,
               parameters: set[str]) -> SampleRows:
    result = SampleRows()
    stored, modules = dict(module.named_parameters()), dict(module.named_modules())
    norms = [name for name in stored if name in parameters]
    weights = [value for name, value in stored.items() if name not in parameters and "lora_" not in name]
    targets = [use.offset for use in uses] + [stored[name] for name in norms] + weights
    found: list[tuple[Tensor | None, ...]] = []
    for probe in probes:
        found.append(torch.autograd.grad((outputs * probe).sum(), targets, retain_graph=True, allow_unused=True))
    for index, use in enumerate(uses):
        rows = torch.stack([use.as_rows(gradients[index]) for gradients in found])
        is_transposed = type(modules.get(use.name)).__name__ == "Conv1D"
        check_weight(use, is_transposed, rows[0], stored, found[0][len(uses) + len(norms):], weights)
        parts = architecture.parts.get(use.name, [use.name])
        groups = architecture.groups.get(use.name, 1)
        inputs = use.rows.chunk(groups, 1) if groups > 1 else [use.rows] * len(parts)
        for part, own, gradient in zip(parts, inputs, rows.chunk(len(parts), 2)):
            assert part not in result.inputs, part
            result.inputs[part], result.gradients[part] = own, gradient
    for index, name in enumerate(norms):
        result.parameters[name] = torch.stack([gradients[len(uses) + index] for gradients in found])
    return result


def check_weight(use: Use, is_transposed: bool, gradient: Tensor, stored: dict[str, Tensor],
                 found: tuple[Tensor | None, ...], weights: list[Tensor]) -> None:
    """Stops unless Σ g aᵀ is autograd's gradient of the weight."""
    name, _, index = use.name.partition("[")
    known = [key for key in (name + ".weight", name + "_weight", name) if key in stored]
    place = next(i for i, value in enumerate(weights) if value is stored[known[0]])
    expected = found[place]
    if index:
        expected = expected[int(index.removesuffix("]"))]
    product = gradient.T @ use.rows
    if expected.dim() == 4:
        # A group of a convolution sees only its own channels.
        matrix = expected.flatten(1)
        groups = product.shape[1] // matrix.shape[1]
        product = torch.cat([part.chunk(groups, 1)[i] for i, part in enumerate(product.chunk(groups, 0))])
        expected = matrix
    elif is_transposed:
        expected = expected.T
    assert torch.allclose(product, expected, rtol=1e-10, atol=1e-12), use.name


# Sums and factors


@dataclass
class Sums:
    """Σ ã ãᵀ, Σ g gᵀ and Σ s sᵀ of some samples by name of the factor, with their counts."""

    values: dict[str, Tensor] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    samples: int = 0

    def add(self, name: str, value: Tensor) -> None:
        self.values[name] = self.values.get(name, torch.zeros_like(value)) + value


def gram(rows: Tensor) -> Tensor:
    result = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    for row in rows:
        result += torch.outer(row, row)
    return result


def sums(samples: list[SampleRows], normalization: str, widths: dict[str, tuple[int, int]],
         biased: set[str]) -> Sums:
    """The sums of some samples; widths are d_in and d_out of all layers, also of those without rows."""
    result = Sums(samples=len(samples))
    for layer, (inputs, outputs) in widths.items():
        ones = 1 if layer in biased else 0
        result.add(layer + ".A", torch.zeros(inputs + ones, inputs + ones, dtype=torch.float64))
        result.add(layer + ".B", torch.zeros(outputs, outputs, dtype=torch.float64))
        result.rows[layer] = 0
    for sample in samples:
        for layer, a in sample.inputs.items():
            g = sample.gradients[layer]
            result.rows[layer] += len(a)
            if layer in biased:
                a = torch.cat([a, torch.ones(len(a), 1, dtype=torch.float64)], 1)
            if normalization == "reduce":
                a, g = a.mean(0, keepdim=True), g.sum(1, keepdim=True)
            result.add(layer + ".A", gram(a))
            result.add(layer + ".B", gram(g.flatten(0, 1)))
        for name, s in sample.parameters.items():
            result.add(name + ".F", gram(s))
    return result


def factors(total: Sums, normalization: str, probes: int) -> dict[str, Tensor]:
    """The factors of a task's sums, by section 2.1 of the design; none of layers without rows."""
    result: dict[str, Tensor] = {}
    for name, value in total.values.items():
        layer, _, side = name.rpartition(".")
        rows = total.rows.get(layer)
        if rows == 0:
            continue
        if side == "A":
            result[name] = value / (total.samples if normalization == "reduce" else rows)
        elif side == "B" and normalization == "tak":
            result[name] = value / (probes * rows)
        else:
            result[name] = value / (total.samples * probes)
    return result
