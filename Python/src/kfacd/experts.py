"""The adapter of fused experts: the 3-D parameters of Mixtral, Qwen-MoE and their like in transformers 5."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .calls import Call, Detach, Layer, Recorder, override_forward, require_form, watched_linear


class FusedExpertsAdapter:
    """Makes a layer of each expert's matrix, `gate_up_proj[i]` and `down_proj[i]`.

    Its rows are the tokens that are sent to the expert.
    """

    def layers(self, name: str, module: Any) -> list[Layer]:
        """Two layers for each expert."""
        require_form(name, _unsupported(module))
        layers: list[Layer] = []
        for key in ("gate_up_proj", "down_proj"):
            weight: Tensor = getattr(module, key)
            count, outputs, inputs = weight.shape
            layers += [
                Layer(
                    f"{name}.{key}[{index}]",
                    (f"{name}.{key}[{index}]",),
                    inputs,
                    outputs,
                    has_bias=False,
                    may_rest=True,
                    parameters={f"{name}.{key}": weight},
                )
                for index in range(count)
            ]
        return layers

    def attach(self, path: str, module: Any, layers: list[Layer], recorder: Recorder) -> list[Detach]:
        """Gives the module a forward pass with watched products."""
        by_name = {layer.name: layer for layer in layers}

        def product(key: str, expert: int, value: Tensor, token_index: Tensor, tokens: int) -> Tensor:
            weight = getattr(module, key)[expert]
            layer = by_name.get(f"{path}.{key}[{expert}]")
            if layer is None:
                return torch.nn.functional.linear(value, weight)
            call = Call(layer, layer.name, value, token_index=token_index, tokens=tokens)
            return watched_linear(recorder, call, weight, None)

        def forward(hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
            flat = hidden_states.reshape(-1, hidden_states.shape[-1])
            result = torch.zeros_like(flat)
            for expert in range(module.gate_up_proj.shape[0]):
                token_index, place = torch.where(top_k_index == expert)
                if token_index.numel() == 0:
                    continue
                widened = product("gate_up_proj", expert, flat[token_index], token_index, flat.shape[0])
                gate, up = widened.chunk(2, dim=-1)
                narrowed = product("down_proj", expert, module.act_fn(gate) * up, token_index, flat.shape[0])
                weighted = narrowed * top_k_weights[token_index, place, None]
                result = result.index_add(0, token_index, weighted.to(result.dtype))
            return result.reshape(hidden_states.shape)

        return [override_forward(module, forward)]


def _unsupported(module: Any) -> str | None:
    gate, down = module.gate_up_proj, module.down_proj
    # The gate of the usual form is act(first half) · second half; other forms have a method of their own.
    gating = getattr(type(module), "_apply_gate", None)
    has_usual_gate = gating is None or gating.__name__ == "_default_apply_gate"
    flags = {"is_transposed": False, "has_bias": False, "has_gate": True, "has_post_expert_norm": False}
    has_usual_form = all(getattr(module, flag, usual) == usual for flag, usual in flags.items())
    fits = gate.shape[0] == down.shape[0] and gate.shape[1:] == (2 * down.shape[2], down.shape[1])
    if has_usual_gate and has_usual_form and fits and getattr(module, "is_concatenated", True):
        return None
    return (
        f"has experts of the form {type(module).__name__}, which is not offered; expected gate_up_proj "
        "[experts, 2 h, d] and down_proj [experts, d, h] without biases"
    )
