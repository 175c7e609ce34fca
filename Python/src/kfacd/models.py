"""The parameters of a model under the names of its checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import torch
from torch import nn

from kfacd.adapters import is_adapted
from kfacd.problems import InputError

# What wrappers insert into the names: torch.compile, FSDP, activation checkpointing, PEFT.
_INSERTED = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer"})
# What PEFT puts before the names of its model, and around modules that it trains whole.
_PEFT_PREFIX = "base_model.model."
_SAVED = re.compile(r"\.modules_to_save\.(?P<adapter>[^.]+)(?=\.|$)")


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside wrappers such as DistributedDataParallel, whose only part is ``module``."""
    while [name for name, _ in model.named_children()] == ["module"] and not list(model.parameters(recurse=False)):
        model = model.get_submodule("module")
    return model


def plain_name(name: str) -> str:
    """A parameter's or module's name without what wrappers inserted."""
    return ".".join(part for part in name.split(".") if part not in _INSERTED)


def named_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """All parameters by plain name; a tied one under each of its names."""
    model = unwrapped(model)
    return _checkpoint_names(model, dict(model.named_parameters(remove_duplicate=False)))


def named_modules(model: nn.Module) -> dict[str, nn.Module]:
    """All modules by plain name, the innermost of those that share one."""
    model = unwrapped(model)
    return _checkpoint_names(model, dict(model.named_modules(remove_duplicate=False)))


def named_adapters(model: nn.Module) -> dict[str, nn.Module]:
    """The layers of PEFT by the plain name of the layer inside."""
    model = unwrapped(model)
    adapted = {name: m for name, m in model.named_modules(remove_duplicate=False) if is_adapted(m)}
    return _checkpoint_names(model, adapted)


_Item = TypeVar("_Item")


def _checkpoint_names(model: nn.Module, items: Mapping[str, _Item]) -> dict[str, _Item]:
    found: dict[str, _Item] = {}
    active = getattr(model, "active_adapter", None)
    for name, item in items.items():
        if hasattr(model, "peft_config"):
            if ".original_module" in name:
                continue
            saved = _SAVED.search(name)
            if saved is not None and saved["adapter"] != active:
                continue
            name = _SAVED.sub("", name).removeprefix(_PEFT_PREFIX)
        found[plain_name(name)] = item
    return found


def plain_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dictionary by plain name, also one that a wrapped model saved."""
    plain = {plain_name(name): tensor for name, tensor in tensors.items()}
    while plain and all(name.startswith("module.") for name in plain):
        plain = {name.removeprefix("module."): tensor for name, tensor in plain.items()}
    return plain


def layout_of(module: nn.Module | None) -> str | None:
    """How a module stores its weight: ``out_in`` [d_out, d_in], or ``in_out`` [d_in, d_out]; None if unknown."""
    if isinstance(module, nn.Embedding):
        return "in_out"
    # transformers' Conv1D, which need not be installed.
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):
        return "in_out"
    if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return "out_in"
    return None


def require_whole(parameters: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Refuses parameters of which this process holds a part only.

    Raises:
        InputError: The parameters that are sharded.
    """
    problems = [
        f"{name}: this process holds only a shard of the parameter (FSDP or tensor parallelism); gather the parameters "
        "as with summon_full_params, or shard only the optimizer (ZeRO-1, ZeroRedundancyOptimizer)."
        for name, parameter in parameters
        # FlatParameter and DTensor are of torch.distributed, which need not be built in.
        if type(parameter).__name__ in ("FlatParameter", "DTensor") or hasattr(parameter, "_local_tensor")
    ]
    if problems:
        raise InputError(problems)
