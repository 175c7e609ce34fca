"""The adapter of `torch.nn.MultiheadAttention`, which computes its projections without modules."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .calls import Call, Detach, Layer, Recorder, override_forward, require_form, watched_linear


class MultiheadAttentionAdapter:
    """Computes the same attention with projections that can be watched.

    Queries, keys and values of one tensor are the rows of one layer, `in_proj`. Otherwise they are layers by address:
    `in_proj[0:d]`, and `in_proj[d:3d]` where keys and values are one tensor.
    """

    def layers(self, name: str, module: nn.MultiheadAttention) -> list[Layer]:
        """The fused or the separate projections, and the output projection."""
        require_form(name, _unsupported(module))
        size, has_bias = module.embed_dim, module.in_proj_bias is not None
        parameters = {f"{name}.{key}": value for key, value in module.named_parameters()}
        output = Layer(
            f"{name}.out_proj",
            (f"{name}.out_proj",),
            size,
            size,
            module.out_proj.bias is not None,
            parameters={key: value for key, value in parameters.items() if ".out_proj." in key},
        )
        if module._qkv_same_embed_dim:
            fused = {key: value for key, value in parameters.items() if ".in_proj_" in key}
            return [Layer(f"{name}.in_proj", (f"{name}.in_proj",), size, 3 * size, has_bias, parameters=fused), output]
        sizes = {"q_proj": size, "k_proj": module.kdim, "v_proj": module.vdim}
        # The bias belongs to a tensor of another name, so these layers have none.
        return [
            Layer(f"{name}.{key}", (f"{name}.{key}",), int(width or size), size, has_bias=False)
            for key, width in sizes.items()
        ] + [output]

    def attach(self, path: str, module: nn.MultiheadAttention, layers: list[Layer], recorder: Recorder) -> list[Detach]:
        """Gives the module a forward pass with watched projections."""
        watched = WatchedAttention(path, module, {layer.name: layer for layer in layers}, recorder)
        return [override_forward(module, watched.forward)]


def _unsupported(module: nn.MultiheadAttention) -> str | None:
    if module.bias_k is not None or module.add_zero_attn:
        return "is an attention with add_bias_kv or add_zero_attn, which is not offered"
    return None


class WatchedAttention:
    """The attention of one module."""

    def __init__(self, path: str, module: nn.MultiheadAttention, layers: dict[str, Layer], recorder: Recorder) -> None:
        """Watches those projections that are among the layers."""
        self._path, self._module, self._layers, self._recorder = path, module, layers, recorder
        self._parts: dict[tuple[int, int], Layer] = {}

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `torch.nn.MultiheadAttention.forward`."""
        module = self._module
        is_batched, samples_first = query.dim() == 3, module.batch_first
        arranged = {id(each): _arranged(each, is_batched, samples_first) for each in (query, key, value)}
        queries, keys, values = (
            self._heads(each) for each in self._projected(arranged[id(query)], arranged[id(key)], arranged[id(value)])
        )
        if key_padding_mask is not None and not is_batched:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        bias = _attention_bias(attn_mask, key_padding_mask, queries, keys)
        dropout = module.dropout if module.training else 0.0
        weights: Tensor | None = None
        if need_weights:
            scores = queries @ keys.transpose(-1, -2) / math.sqrt(module.head_dim)
            weights = F.dropout(torch.softmax(scores if bias is None else scores + bias, dim=-1), dropout)
            attended = weights @ values
            weights = weights.mean(dim=1) if average_attn_weights else weights
        else:
            attended = F.scaled_dot_product_attention(queries, keys, values, bias, dropout)
        joined = attended.transpose(1, 2).flatten(2)
        output = self._linear("out_proj", joined, module.out_proj.weight, module.out_proj.bias)
        if not is_batched:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return (output if samples_first else output.transpose(0, 1)), weights

    def _heads(self, projected: Tensor) -> Tensor:
        heads: Tensor = projected.unflatten(-1, (self._module.num_heads, -1))
        return heads.transpose(1, 2)

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        module, size = self._module, self._module.embed_dim
        bias = module.in_proj_bias
        if not module._qkv_same_embed_dim:
            biases = [None] * 3 if bias is None else list(bias.chunk(3))
            weights = [module.q_proj_weight, module.k_proj_weight, module.v_proj_weight]
            return [
                self._linear(name, source, weight, part)
                for name, source, weight, part in zip(
                    ("q_proj", "k_proj", "v_proj"), (query, key, value), weights, biases, strict=True
                )
            ]
        if query is key and key is value:
            sources = [(query, 0, 3)]
        elif key is value:
            sources = [(query, 0, 1), (key, 1, 3)]
        else:
            sources = [(query, 0, 1), (key, 1, 2), (value, 2, 3)]
        projected: list[Tensor] = []
        for source, first, end in sources:
            rows = slice(first * size, end * size)
            part = self._linear(
                "in_proj", source, module.in_proj_weight[rows], None if bias is None else bias[rows], (first, end)
            )
            projected += part.chunk(end - first, dim=-1)
        return projected

    def _linear(
        self, name: str, value: Tensor, weight: Tensor, bias: Tensor | None, part: tuple[int, int] | None = None
    ) -> Tensor:
        layer = self._layers.get(f"{self._path}.{name}")
        if layer is None:
            return F.linear(value, weight, bias)
        if part is not None and part != (0, 3):
            layer = self._part(layer, part)
        return watched_linear(self._recorder, Call(layer, layer.name, value), weight, bias)

    def _part(self, whole: Layer, part: tuple[int, int]) -> Layer:
        if part not in self._parts:
            size = self._module.embed_dim
            name = f"{whole.name}[{part[0] * size}:{part[1] * size}]"
            self._parts[part] = Layer(name, (name,), whole.input_size, (part[1] - part[0]) * size, whole.has_bias)
        return self._parts[part]


def _arranged(value: Tensor, is_batched: bool, samples_first: bool) -> Tensor:
    """The tensor as [samples, positions, d]."""
    if not is_batched:
        return value.unsqueeze(0)
    return value if samples_first else value.transpose(0, 1)


def _attention_bias(
    attention_mask: Tensor | None, padding_mask: Tensor | None, queries: Tensor, keys: Tensor
) -> Tensor | None:
    """Both masks as one term that is added to the scores, [samples or 1, heads or 1, queries or 1, keys]."""
    bias: Tensor | None = None
    if attention_mask is not None:
        bias = _additive(attention_mask, queries)
        if bias.dim() == 3:
            bias = bias.view(queries.shape[0], queries.shape[1], queries.shape[2], keys.shape[2])
    if padding_mask is not None:
        padding = _additive(padding_mask, queries)[:, None, None, :]
        bias = padding if bias is None else bias + padding
    return bias


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -math.inf)
    return mask.to(like.dtype)
