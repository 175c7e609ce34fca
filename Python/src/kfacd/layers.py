"""The adapters of modules with linear maps; an adapter is registered by class, here only."""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .attention import MultiheadAttentionAdapter
from .calls import Adapter, Call, Detach, Layer, Recorder, attach_hooks
from .errors import SelectionError, ShapeError
from .experts import FusedExpertsAdapter


def _joined(name: str, parameter: str) -> str:
    return f"{name}.{parameter}" if name else parameter


def _parameters(name: str, module: nn.Module, *parameters: str) -> dict[str, Tensor]:
    found = {parameter: getattr(module, parameter, None) for parameter in parameters}
    return {_joined(name, key): value for key, value in found.items() if value is not None}


def _require_floating(name: str, weight: Tensor) -> None:
    if not weight.is_floating_point():
        raise SelectionError(
            f'layer "{name}" has a weight of the type {weight.dtype}; expected a floating-point type. '
            f'Load the model without quantisation, or leave the layer out with "!{name}".'
        )


class HookedAdapter:
    """Watches modules that map their first argument to a tensor."""

    def call(self, path: str, module: Any, layer: Layer, value: Tensor) -> Call:
        """Describes one call."""
        return Call(layer, path, value)

    def attach(self, path: str, module: Any, layers: list[Layer], recorder: Recorder) -> list[Detach]:
        """Adds a hook before and one after the module."""
        (layer,) = layers
        return attach_hooks(module, recorder, lambda value: self.call(path, module, layer, value))


class LinearAdapter(HookedAdapter):
    """`torch.nn.Linear`: the weight is [d_out, d_in]."""

    def layers(self, name: str, module: nn.Linear) -> list[Layer]:
        """One layer."""
        _require_floating(name, module.weight)
        parameters = _parameters(name, module, "weight", "bias")
        return [
            Layer(
                name, (name,), module.in_features, module.out_features, module.bias is not None, parameters=parameters
            )
        ]


class TransposedLinearAdapter(HookedAdapter):
    """`Conv1D` of transformers: a linear layer whose weight is [d_in, d_out]."""

    def layers(self, name: str, module: Any) -> list[Layer]:
        """One layer."""
        _require_floating(name, module.weight)
        inputs, outputs = module.weight.shape
        parameters = _parameters(name, module, "weight", "bias")
        return [Layer(name, (name,), inputs, outputs, True, layout="in_out", parameters=parameters)]


class EmbeddingAdapter(HookedAdapter):
    """`torch.nn.Embedding`: the rows are one-hot, so A is the diagonal of their counts."""

    def layers(self, name: str, module: nn.Embedding) -> list[Layer]:
        """One layer."""
        if module.max_norm is not None or module.scale_grad_by_freq:
            raise SelectionError(
                f'layer "{name}" is an embedding with max_norm or scale_grad_by_freq, which is no linear map. '
                f'Leave it out with "!{name}".'
            )
        return [
            Layer(
                name,
                (name,),
                module.num_embeddings,
                module.embedding_dim,
                has_bias=False,
                layout="in_out",
                takes_indices=True,
                input_diagonal=True,
                parameters=_parameters(name, module, "weight"),
            )
        ]

    def call(self, path: str, module: nn.Embedding, layer: Layer, value: Tensor) -> Call:
        """Leaves out the padding index, whose row is never trained."""
        if module.padding_idx is None:
            return Call(layer, path, value)
        padding = module.padding_idx
        return Call(layer, path, value, input_rows=lambda ids: ids.masked_fill(ids == padding, -1), geometry=padding)


class ConvolutionAdapter(HookedAdapter):
    """`torch.nn.Conv1d` and `Conv2d`: the rows are the columns of im2col; a group is a layer of its own."""

    def layers(self, name: str, module: nn.Conv1d | nn.Conv2d) -> list[Layer]:
        """One layer, with as many names as groups."""
        groups, outputs = module.groups, module.out_channels // module.groups
        names = (
            (name,)
            if groups == 1
            else tuple(f"{name}[{index * outputs}:{(index + 1) * outputs}]" for index in range(groups))
        )
        inputs = module.in_channels // groups * math.prod(module.kernel_size)
        parameters = _parameters(name, module, "weight", "bias")
        return [Layer(name, names, inputs, outputs, module.bias is not None, parameters=parameters)]

    def call(self, path: str, module: nn.Conv1d | nn.Conv2d, layer: Layer, value: Tensor) -> Call:
        """Makes rows by `unfold`."""
        spatial = len(module.kernel_size)
        if value.dim() != spatial + 2:
            raise ShapeError(
                f'layer "{layer.name}" was given an input of {value.dim()} dimensions; expected {spatial + 2}, with '
                "the samples first. Add the dimension of the batch."
            )
        geometry = (module.kernel_size, module.stride, module.padding, module.dilation, module.padding_mode)
        return Call(
            layer,
            path,
            value,
            input_rows=lambda part: unfolded(module, part),
            gradient_rows=lambda gradient: gradient.flatten(2).transpose(1, 2),
            geometry=geometry,
            expansion=math.prod(module.kernel_size),
        )


def unfolded(module: nn.Conv1d | nn.Conv2d, value: Tensor) -> Tensor:
    """The rows of im2col: [samples, places, channels · kernel], the channel first."""
    padding: Any = module.padding
    if isinstance(padding, str) or module.padding_mode != "zeros":
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        value, padding = F.pad(value, module._reversed_padding_repeated_twice, mode=mode), (0,) * len(module.stride)
    kernel, dilation, stride = tuple(module.kernel_size), tuple(module.dilation), tuple(module.stride)
    if len(kernel) == 1:
        value = value.unsqueeze(2)
        kernel, dilation, stride, padding = (1, *kernel), (1, *dilation), (1, *stride), (0, *padding)
    # unfold takes no half precision on some devices.
    columns = F.unfold(value.float(), kernel, dilation=dilation, padding=padding, stride=stride)
    return columns.transpose(1, 2)


_ADAPTERS: dict[type[nn.Module] | str, Adapter] = {}


def register(kind: type[nn.Module] | str, adapter: Adapter) -> None:
    """Registers an adapter for a class and its subclasses.

    Args:
        kind: The class, or its full name where importing its package is not wanted.
        adapter: Takes the place of an earlier one.
    """
    _ADAPTERS[kind] = adapter


def adapter_for(module: nn.Module) -> Adapter | None:
    """The adapter of the nearest class of a module, or none."""
    for kind in type(module).__mro__:
        adapter = _ADAPTERS.get(kind) or _ADAPTERS.get(f"{kind.__module__}.{kind.__qualname__}")
        if adapter is not None:
            return adapter
    return FusedExpertsAdapter() if _has_fused_experts(module) else None


def _has_fused_experts(module: nn.Module) -> bool:
    """Whether a module holds the experts of transformers: one class for each model, all of one form."""
    weights = [getattr(module, name, None) for name in ("gate_up_proj", "down_proj")]
    return type(module).__name__.endswith("Experts") and all(
        isinstance(weight, Tensor) and weight.dim() == 3 for weight in weights
    )


register(nn.Linear, LinearAdapter())
register("transformers.pytorch_utils.Conv1D", TransposedLinearAdapter())
register(nn.Embedding, EmbeddingAdapter())
register(nn.Conv1d, ConvolutionAdapter())
register(nn.Conv2d, ConvolutionAdapter())
register(nn.MultiheadAttention, MultiheadAttentionAdapter())
