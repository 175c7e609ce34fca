"""A model that is linear in its parameters: the first-order expansion around θ₀.

Source: Porrello et al. 2026, arXiv 2602.17385: training in the tangent space, where task arithmetic is exact up to the
overlap of the tasks.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, jvp
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._pytree import tree_flatten, tree_unflatten

from kfacd.problems import InputError


def linearize(model: nn.Module) -> Linearized:
    """The model f(θ₀) + J(θ₀) (θ − θ₀), with θ₀ the model's present parameters.

    Its parameters θ are those of the model itself, under the same names: train the result, and save either. Buffers
    stay the model's. Keyword inputs and structured outputs work as those of the model; every floating-point tensor of
    the output is linear in θ. A forward pass takes two to three times that of the model.

    Raises:
        InputError: The model is wrapped, has batch statistics in training, or is otherwise no function of its
            parameters.
    """
    problems: list[str] = []
    if type(model).__name__ in _WRAPPERS:
        problems.append(f"{type(model).__name__}: linearize the model inside, and wrap the result.")
    if isinstance(model, Linearized):
        problems.append("The model is linear already.")
    problems += _unsupported(model)
    if problems:
        raise InputError(problems)

    # The signature and documentation are the model's, since trainers read the names of its inputs.
    @functools.wraps(type(model).forward)
    def forward(self: Linearized, *args: Any, **kwargs: Any) -> Any:
        return Linearized.forward(self, *args, **kwargs)

    linear: type[Linearized] = type(f"Linearized{type(model).__name__}", (Linearized,), {"forward": forward})
    return linear(model)


class Linearized(nn.Module):
    """A linearized model; made by :func:`linearize`."""

    def __init__(self, model: nn.Module) -> None:
        """Shares the parameters, buffers and parts of a model, and copies θ₀."""
        super().__init__()
        # Not a part of this module, which has the model's parts as its own: so all names are the model's.
        object.__setattr__(self, "_model", model)
        self._parameters = model._parameters
        self._buffers = model._buffers
        self._modules = model._modules
        self._non_persistent_buffers_set = model._non_persistent_buffers_set
        self.training = model.training
        object.__setattr__(self, "_base", {name: p.detach().clone() for name, p in model.named_parameters()})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """f(θ₀; x) + J(θ₀; x) (θ − θ₀).

        Raises:
            InputError: What the model does with this input is no differentiable function of its parameters; the message
                names the operation or the output.
        """
        return self._expanded(args, kwargs, with_value=True)

    def drift(self, *args: Any, **kwargs: Any) -> Any:
        """J(θ₀; x) (θ − θ₀), the change of the outputs alone.

        Raises:
            InputError: As for a forward pass.
        """
        return self._expanded(args, kwargs, with_value=False)

    def _expanded(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, with_value: bool) -> Any:
        model: nn.Module = self._model
        if problems := _unsupported(model):
            raise InputError(problems)
        parameters = dict(model.named_parameters())
        base = {name: self._base[name] for name in parameters}
        tangents = {name: parameter - base[name] for name, parameter in parameters.items()}
        leaves: list[Any] = []
        structure: Any = None

        def run(parameters: dict[str, torch.Tensor]) -> tuple[dict[int, torch.Tensor], dict[int, torch.Tensor]]:
            nonlocal leaves, structure
            output = functional_call(model, parameters, args, kwargs)
            _require_own_loss(output, kwargs)
            leaves, structure = tree_flatten(output)
            _require_plain(output, leaves)
            tensors = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)}
            linear = {i: tensor for i, tensor in tensors.items() if tensor.is_floating_point()}
            return linear, {i: tensor for i, tensor in tensors.items() if i not in linear}

        with _forward_mode(), _named_failure(model):
            expansion: Any = jvp(run, (base,), (tangents,), has_aux=True)
        values, changes, others = expansion
        for position, tensor in others.items():
            leaves[position] = tensor
        for position, value in values.items():
            leaves[position] = value + changes[position] if with_value else changes[position]
        return tree_unflatten(leaves, structure)

    def train(self, mode: bool = True) -> Linearized:
        """Sets the mode of the model's parts."""
        super().train(mode)
        self._model.training = mode
        return self

    def __getattr__(self, name: str) -> Any:
        """The model's attributes, such as ``config``, are those of the linear model too."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in ("_model", "_base"):
                raise
            return getattr(self._model, name)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Linearized:
        # θ₀ moves and is cast with θ.
        super()._apply(fn, recurse)
        object.__setattr__(self, "_base", {name: fn(tensor) for name, tensor in self._base.items()})
        return self


_WRAPPERS = ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "OptimizedModule")


def _unsupported(model: nn.Module) -> list[str]:
    problems: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats:
            problems.append(
                f"{name}: {type(module).__name__} in training mode changes its statistics in each pass; call .eval() "
                "on it, and keep it so."
            )
        if getattr(module, "gradient_checkpointing", False) is True:
            problems.append(
                f"{name or type(module).__name__}: activation checkpointing runs the model twice, which forward-mode "
                "derivatives do not survive; call gradient_checkpointing_disable()."
            )
    return problems


def _require_own_loss(output: Any, inputs: dict[str, Any]) -> None:
    if inputs.get("labels") is not None and getattr(output, "loss", None) is not None:
        raise InputError(
            "The model computed its loss from labels, and a linearized loss is not the loss of the linearized outputs. "
            "Call it without labels and compute the loss of its outputs; transformers' Trainer does so with "
            "compute_loss_func."
        )


def _require_plain(output: Any, leaves: list[Any]) -> None:
    opaque = [x for x in leaves if not (x is None or isinstance(x, (torch.Tensor, bool, int, float, str)))]
    if not opaque:
        return
    kind = type(opaque[0]).__name__
    keys = [str(key) for key, value in getattr(output, "items", dict)() if value is opaque[0]] or ["an output"]
    advice = " Call the model with use_cache=False, or set config.use_cache." if "Cache" in kind else ""
    raise InputError(f"{keys[0]} is of the type {kind}, which cannot be linearized; expected tensors.{advice}")


@contextlib.contextmanager
def _forward_mode() -> Iterator[None]:
    """Kernels that have forward-mode derivatives: the fused ones of attention have none."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextlib.contextmanager
def _named_failure(model: nn.Module) -> Iterator[None]:
    """Turns torch's messages about missing derivatives into sentences with the operation and the module."""
    stack: list[nn.Module] = []

    def leave() -> None:
        stack.pop()

    before = register_module_forward_pre_hook(lambda module, _: stack.append(module))
    after = register_module_forward_hook(lambda *_: leave())
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        text = str(error)
        if not re.search(r"forward AD|forward-mode|jvp|functorch|inplace arithmetic|saved_tensors_hooks", text):
            raise
        names = {id(module): name for name, module in model.named_modules()}
        known = [module for module in stack if id(module) in names]
        place = (names[id(known[-1])] or type(known[-1]).__name__) if known else type(model).__name__
        advice = ' Make the model with experts_implementation="eager".' if "_grouped_mm" in text else ""
        raise InputError(
            f"{place}: an operation has no forward-mode derivative, so the model cannot be linearized: "
            f"{text.splitlines()[0]}{advice}"
        ) from error
    finally:
        before.remove()
        after.remove()
