"""Layers with curvature, the calls that use them, and how calls are noticed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from .errors import SelectionError

Rows = Callable[[Tensor], Tensor]
Detach = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear map with the factors A and B; a grouped convolution is several, of equal sizes.

    Source: kfacd-job(5), Names of layers.
    """

    name: str
    names: tuple[str, ...]
    """The names in files, one for each group."""
    input_size: int
    """d_in of one group, without the bias."""
    output_size: int
    """d_out of one group."""
    has_bias: bool
    layout: Literal["out_in", "in_out"] = "out_in"
    takes_indices: bool = False
    """Whether an input row is the index of a one-hot vector."""
    input_diagonal: bool = False
    output_diagonal: bool = False
    may_rest: bool = False
    """Whether a step without rows is ordinary, as for an expert."""
    parameters: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    """The weight and the bias by full name."""


@dataclass(frozen=True, eq=False)
class Normalization:
    """The scale and the shift of a normalisation, each with a full block F."""

    name: str
    scale: str | None
    """The parameter's full name, or none if it has no block."""
    shift: str | None
    size: int
    parameters: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters with a block."""
        return tuple(name for name in (self.scale, self.shift) if name is not None)


@dataclass(eq=False)
class Call:
    """One use of a layer in a forward pass."""

    layer: Layer | Normalization
    path: str
    """The module's name, which differs from the layer's where modules share a weight."""
    input: Tensor
    input_rows: Rows | None = None
    """Makes rows [n, …, d] of the first dimension's slices; none where the input has them."""
    gradient_rows: Rows | None = None
    geometry: object = None
    """Two calls with the same input and equal geometry have the same input rows."""
    expansion: int = 1
    """Elements of rows for each element of the input."""
    token_index: Tensor | None = None
    """The token of each row, [rows], where only some tokens reach the layer."""
    tokens: int = 0
    is_repeated: bool = False
    """Whether activation checkpointing runs it again."""
    version: int = 0
    """How often the input had been changed in place."""


class Recorder(Protocol):
    """What an adapter reports to."""

    def begin(self, call: Call) -> Tensor | None:
        """Notes a call before it runs.

        Returns:
            The input to compute with in place of the call's, or none if the call is not recorded.
        """

    def end(self, call: Call, output: Tensor) -> Tensor:
        """Notes a call's output.

        Returns:
            The output to go on with.
        """


class Adapter(Protocol):
    """Finds the layers of a class of modules, and watches them."""

    def layers(self, name: str, module: Any) -> list[Layer]:
        """The layers of a module.

        Raises:
            SelectionError: The module is of a form that cannot be watched.
        """

    def attach(self, path: str, module: Any, layers: list[Layer], recorder: Recorder) -> list[Detach]:
        """Begins to report calls; what is returned ends it."""


def attach_hooks(module: nn.Module, recorder: Recorder, describe: Callable[[Tensor], Call]) -> list[Detach]:
    """Reports the calls of a module by a hook before and one after it."""
    open_calls: list[Call | None] = []

    def before(
        _: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        value = arguments[0] if arguments else next(iter(options.values()))
        call = describe(value)
        replaced = recorder.begin(call)
        open_calls.append(None if replaced is None else call)
        if replaced is None:
            return None
        if arguments:
            return (replaced, *arguments[1:]), options
        return arguments, {**options, next(iter(options)): replaced}

    def after(_: nn.Module, __: tuple[Any, ...], output: Tensor) -> Tensor | None:
        call = open_calls.pop() if open_calls else None
        return None if call is None else recorder.end(call, output)

    return [
        module.register_forward_pre_hook(before, with_kwargs=True).remove,
        module.register_forward_hook(after).remove,
    ]


def require_form(name: str, problem: str | None) -> None:
    """Refuses a module of a form that cannot be watched.

    Raises:
        SelectionError: With the problem, if there is one.
    """
    if problem is not None:
        raise SelectionError(f'layer "{name}" {problem}. Leave it out with "!{name}*".')


def linear(value: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`torch.nn.functional.linear`, typed."""
    result: Tensor = F.linear(value, weight, bias)
    return result


def watched_linear(recorder: Recorder, call: Call, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Computes a linear map that no module has to itself, and reports it as a call."""
    replaced = recorder.begin(call)
    if replaced is None:
        return linear(call.input, weight, bias)
    return recorder.end(call, linear(replaced, weight, bias))


def override_forward(module: nn.Module, forward: Callable[..., Any]) -> Detach:
    """Gives one module another forward pass."""
    earlier = module.__dict__.get("forward")
    module.forward = forward

    def restore() -> None:
        if earlier is None:
            del module.__dict__["forward"]
        else:
            module.forward = earlier

    return restore
