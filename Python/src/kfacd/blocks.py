"""The blocks of a regularizer in the parameters of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from kfacd import checkpoints, tensor_files
from kfacd.adapters import LowRank, low_rank_parts
from kfacd.addresses import Place, bias_place, module_of, parameter_place, weight_place
from kfacd.joint_rows import JointRows
from kfacd.models import layout_of, named_adapters, named_modules, named_parameters, plain_tensors, require_whole
from kfacd.patterns import matches
from kfacd.problems import InputError, listed
from kfacd.regularizer import Regularizer, Term

#: θ₀: a state dictionary, a model, or the path of a checkpoint.
Base = Mapping[str, torch.Tensor] | nn.Module | str | Path
_Gradient = tuple["Tracked", Place, torch.Tensor]


@dataclass(eq=False)
class Tracked:
    """A parameter with its value in θ₀."""

    name: str
    parameter: nn.Parameter
    #: All names of the parameter; more than one if it is tied.
    aliases: list[str]
    #: The layer of PEFT whose adapters add to the parameter.
    adapter: nn.Module | None = None
    base: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def low_rank(self) -> list[LowRank]:
        """What adapters add to the parameter now."""
        return [] if self.adapter is None else low_rank_parts(self.name, self.adapter)

    def trained(self) -> list[nn.Parameter]:
        """The parameters that the value depends on: this one and those of its adapters."""
        return [self.parameter, *(p for part in self.low_rank() for p in (part.a, part.b))]

    def delta(self, place: Place) -> torch.Tensor:
        """θ − θ₀ of a part, in fp32 or wider."""
        if self.base.device != self.parameter.device:
            self.base = self.base.to(self.parameter.device)
        dtype = torch.promote_types(self.parameter.dtype, torch.float32)
        delta = place.of(self.parameter.detach()).to(dtype) - place.of(self.base).to(dtype)
        for part in self.low_rank():
            delta = delta + place.of(part.delta(self.parameter.shape, dtype))
        return delta


class Block:
    """A part of the parameters: Δ of [d_out, d_in], and what Ω has of it.

    That is a sum over its own factors. With joint rows it is also the block's part of each X_rs.
    """

    def __init__(self, name: str, joint_rows: JointRows | None, is_complement: bool) -> None:
        """Takes the joint rows; with the complement what they hold is subtracted from the factors."""
        self.name = name
        self.joint_rows = joint_rows
        self._lacks_inside = is_complement

    @property
    def tracked(self) -> list[Tracked]:
        """The parameters that the block reads."""
        raise NotImplementedError

    def delta(self) -> torch.Tensor:
        """Δ, [d_out, d_in]."""
        raise NotImplementedError

    def evaluate(self, pairs: torch.Tensor | None) -> tuple[torch.Tensor, list[_Gradient]]:
        """Ω of the factors alone, and half of the gradient of all of Ω by place.

        Args:
            pairs: X of all blocks, [k_B, k_A], if there are joint rows.
        """
        delta = self.delta()
        if self._lacks_inside and self.joint_rows is not None:
            self._subtract(*self.joint_rows.inside(delta))
            self._lacks_inside = False
        product = self._product(delta)
        value = _dot(product, delta)
        if self.joint_rows is not None and pairs is not None:
            product = product + self.joint_rows.product(pairs.to(delta))
        return value, self._gradients(product)

    def share(self, pairs: torch.Tensor) -> float:
        """The block's share of Σ_rs X_rs², Σ_rs X_rs X_rs,ℓ; it is negative where the block lessens the drift."""
        if self.joint_rows is None:
            return 0.0
        own = self.joint_rows.pairs(self.delta())
        return float(_dot(own, pairs.to(own)))

    def _product(self, delta: torch.Tensor) -> torch.Tensor:
        """Half of the gradient of the factors' Ω."""
        raise NotImplementedError

    def _subtract(self, a: torch.Tensor, b: torch.Tensor) -> None:
        """Subtracts B ⊗ A from the factors."""
        raise NotImplementedError

    def _gradients(self, product: torch.Tensor) -> list[_Gradient]:
        """A matrix of Δ's shape by place."""
        raise NotImplementedError


class LayerBlock(Block):
    """A layer: Ω = Σ_k w_k tr(B_k Δ A_k Δᵀ), and joint rows."""

    def __init__(
        self,
        name: str,
        terms: list[Term],
        weight: tuple[Tracked, Place],
        bias: tuple[Tracked, Place] | None,
        is_in_out: bool,
        joint_rows: JointRows | None,
        is_complement: bool,
    ) -> None:
        """Names the terms and the places of [W, b]; the bias is None where Δ has no column of it."""
        super().__init__(name, joint_rows, is_complement)
        self.terms = list(terms)
        self.weight = weight
        self.bias = bias
        self.is_in_out = is_in_out

    @property
    def tracked(self) -> list[Tracked]:
        """The parameters that the block reads."""
        return [self.weight[0]] + ([] if self.bias is None else [self.bias[0]])

    def delta(self) -> torch.Tensor:
        """[ΔW, Δb]."""
        tracked, place = self.weight
        weight = _matrix(tracked.delta(place))
        delta = weight.T if self.is_in_out else weight
        if self.bias is not None:
            bias = self.bias[0].delta(self.bias[1]).to(delta).reshape(-1, 1)
            delta = torch.cat([delta, bias], dim=1)
        return delta

    def _product(self, delta: torch.Tensor) -> torch.Tensor:
        product = torch.zeros_like(delta)
        for term in self.terms:
            term.a, term.b = term.a.to(delta), term.b.to(delta)
            left = term.b[:, None] * delta if term.b.ndim == 1 else term.b @ delta
            product.add_(left * term.a if term.a.ndim == 1 else left @ term.a, alpha=term.weight)
        return product

    def _subtract(self, a: torch.Tensor, b: torch.Tensor) -> None:
        self.terms.append(Term(-1.0, a, b))

    def _gradients(self, product: torch.Tensor) -> list[_Gradient]:
        gradients: list[_Gradient] = []
        if self.bias is not None:
            gradients.append((*self.bias, product[:, -1]))
            product = product[:, :-1]
        gradients.append((*self.weight, product.T if self.is_in_out else product))
        return gradients


class FullBlock(Block):
    """A parameter outside layers: Ω = Σ_k w_k δᵀ F_k δ, and joint rows; Δ is the column δ."""

    def __init__(
        self,
        name: str,
        blocks: list[tuple[float, torch.Tensor]],
        parameter: tuple[Tracked, Place],
        joint_rows: JointRows | None,
        is_complement: bool,
    ) -> None:
        """Names the weighted matrices, and the place of p."""
        super().__init__(name, joint_rows, is_complement)
        self.blocks = blocks
        self.parameter = parameter

    @property
    def tracked(self) -> list[Tracked]:
        """The parameter that the block reads."""
        return [self.parameter[0]]

    def delta(self) -> torch.Tensor:
        """δ, [d, 1]."""
        tracked, place = self.parameter
        return tracked.delta(place).reshape(-1, 1)

    def _product(self, delta: torch.Tensor) -> torch.Tensor:
        product = torch.zeros_like(delta)
        self.blocks = [(weight, f.to(delta)) for weight, f in self.blocks]
        for weight, f in self.blocks:
            product.add_(f[:, None] * delta if f.ndim == 1 else f @ delta, alpha=weight)
        return product

    def _subtract(self, a: torch.Tensor, b: torch.Tensor) -> None:
        self.blocks.append((-float(a), b))

    def _gradients(self, product: torch.Tensor) -> list[_Gradient]:
        return [(*self.parameter, product.reshape(-1))]


def located_blocks(regularizer: Regularizer, model: nn.Module, layouts: Mapping[str, str]) -> list[Block]:
    """Finds the layers and parameters of a regularizer in a model.

    Args:
        regularizer: What the file holds.
        model: The model, also inside wrappers.
        layouts: ``out_in`` or ``in_out`` by pattern.

    Raises:
        InputError: Every layer or parameter that the model lacks or has in another shape.
    """
    search = _Search(regularizer, model, layouts)
    blocks: list[Block] = []
    for name in regularizer.layers:
        blocks += search.layer(name)
    for name in regularizer.parameters:
        blocks += search.full(name)
    search.finish()
    require_whole((t.name, t.parameter) for block in blocks for t in block.tracked)
    return blocks


class _Search:
    """Collects the problems of all blocks, so that they are reported together."""

    def __init__(self, regularizer: Regularizer, model: nn.Module, layouts: Mapping[str, str]) -> None:
        self.regularizer = regularizer
        self.layouts = layouts
        self.parameters = named_parameters(model)
        self.modules = named_modules(model)
        self.adapters = named_adapters(model)
        self.has_transposed = any(
            layout_of(module) == "in_out" for module in self.modules.values() if not isinstance(module, nn.Embedding)
        )
        self.tracked: dict[int, Tracked] = {}
        self.missing: list[str] = []
        self.problems: list[str] = []
        if unknown := [value for value in layouts.values() if value not in ("out_in", "in_out")]:
            self.problems.append(f"layout: {unknown[0]!r} is no layout; expected out_in or in_out.")
        unused = [p for p in layouts if not any(matches(p, name) for name in regularizer.layers)]
        self.problems += [f"layout: the pattern {pattern!r} matches no layer of the regularizer." for pattern in unused]

    def layer(self, name: str) -> list[LayerBlock]:
        sizes = self._sizes(name)
        weight = weight_place(name, self.parameters)
        if weight is None:
            self.missing.append(name)
            return []
        bias = bias_place(name, self.parameters)
        shape = weight.shape(tuple(self.parameters[weight.tensor].shape))
        if shape is None or len(shape) < 2:
            self._problem(name, f"{weight.tensor} has the shape {self._shape(weight)} and no such matrix in it")
            return []
        matrix = (shape[0], math.prod(shape[1:]))
        if self.regularizer.bias.get(name) is False:
            bias = None
        elif self.regularizer.bias.get(name) is True and bias is None:
            self._problem(name, "its factors are those of a layer with a bias; the model's layer has none")
            return []
        # A file that states nothing about the bias has A's dimension to tell it.
        fits = {
            (layout, biased)
            for layout, (d_out, d_in) in (("out_in", matrix), ("in_out", matrix[::-1]))
            for biased in (False, True)
            if biased <= (bias is not None)
            if all(size == (d_out, d_in + biased) for size in sizes)
            if self.regularizer.bias.get(name) in (None, biased)
        }
        layout = self._layout(name, weight, matrix, {layout for layout, _ in fits}, sizes[0])
        if layout is None:
            return []
        has_bias = (layout, True) in fits
        if has_bias and bias is not None and not self._fits(name, bias, sizes[0][0]):
            return []
        return [
            LayerBlock(
                name,
                self.regularizer.layers[name],
                (self._track(weight), weight),
                (self._track(bias), bias) if has_bias and bias is not None else None,
                layout == "in_out",
                self.regularizer.joint_rows.get(name),
                self.regularizer.is_complement,
            )
        ]

    def _sizes(self, name: str) -> list[tuple[int, int]]:
        """d_out and d_in of a layer's terms, and of its joint rows."""
        sizes = [(term.b.shape[0], term.a.shape[0]) for term in self.regularizer.layers[name]]
        joint = self.regularizer.joint_rows.get(name)
        return sizes if joint is None else [*sizes, (joint.gradients.shape[2], joint.inputs.shape[2])]

    def full(self, name: str) -> list[FullBlock]:
        blocks = self.regularizer.parameters[name]
        place = parameter_place(name, self.parameters)
        if place is None:
            self.missing.append(name)
            return []
        joint = self.regularizer.joint_rows.get(name)
        counts = [block.f.shape[0] for block in blocks] + ([] if joint is None else [joint.gradients.shape[2]])
        if not all(self._fits(name, place, count) for count in counts):
            return []
        weighted = [(block.weight, block.f) for block in blocks]
        return [FullBlock(name, weighted, (self._track(place), place), joint, self.regularizer.is_complement)]

    def finish(self) -> None:
        """Raises what was found."""
        if self.missing:
            names = listed(self.missing)
            hint = "Use the regularizer of a job whose base_model is this model's checkpoint."
            if similar := self._similar(self.missing[0]):
                hint = f"The model has {similar}; use a regularizer whose names are the model's (see rename in a job)."
            self.problems.insert(
                0,
                f"{self.regularizer.path}: the model has no parameters for {len(self.missing)} of its blocks: {names}. "
                + hint,
            )
        if self.problems:
            raise InputError(self.problems)

    def _layout(
        self, name: str, weight: Place, matrix: tuple[int, int], fitting: set[str], size: tuple[int, int]
    ) -> str | None:
        declared = self.regularizer.layout.get(name)
        for pattern, value in self.layouts.items():
            if matches(pattern, name):
                declared = value
        module = self.modules.get(name) or self.modules.get(module_of(name))
        known = declared or layout_of(module)
        if known is None and len(fitting) == 2 and self.has_transposed:
            self._problem(
                name,
                f"{weight.tensor} is square, and nothing tells whether it is stored as [d_out, d_in] or [d_in, d_out]; "
                f'state it, as in layout={{"{name}": "out_in"}}',
            )
            return None
        layout = known or "out_in"
        if layout in fitting:
            return layout
        d_out, d_in = matrix if layout == "out_in" else matrix[::-1]
        hint = f'; it fits as [d_in, d_out]: state it with layout={{"{name}": "in_out"}}' if "in_out" in fitting else ""
        self._problem(
            name,
            f"A is for {size[1]} inputs (one more with a bias) and B for {size[0]} outputs; the "
            f"model's {weight.tensor} has {d_in} inputs and {d_out} outputs{hint}",
        )
        return None

    def _fits(self, name: str, place: Place, count: int) -> bool:
        shape = place.shape(tuple(self.parameters[place.tensor].shape))
        if shape is not None and math.prod(shape) == count:
            return True
        self._problem(
            name, f"its factor is for {count} elements; the model's {place.tensor} has the shape {self._shape(place)}"
        )
        return False

    def _track(self, place: Place) -> Tracked:
        parameter = self.parameters[place.tensor]
        if id(parameter) not in self.tracked:
            if not parameter.is_floating_point():
                self._problem(
                    place.tensor, f"it is of the type {parameter.dtype}; expected floating point, not quantized"
                )
            aliases = [name for name, other in self.parameters.items() if other is parameter]
            owner = place.tensor.removesuffix(".weight")
            adapter = self.adapters.get(owner) if owner != place.tensor else None
            tracked = Tracked(place.tensor, parameter, aliases, adapter)
            try:
                tracked.low_rank()
            except InputError as problem:
                self.problems += problem.problems
            self.tracked[id(parameter)] = tracked
        return self.tracked[id(parameter)]

    def _similar(self, name: str) -> str | None:
        end = "." + name
        return next((p for p in self.parameters if p.rsplit(".", 1)[0].endswith(end) or p.endswith(end)), None)

    def _shape(self, place: Place) -> list[int]:
        return list(self.parameters[place.tensor].shape)

    def _problem(self, name: str, text: str) -> None:
        self.problems.append(f"{self.regularizer.path}: {name}: {text}.")


def set_base(tracked: list[Tracked], regularizer: Regularizer, model: nn.Module, base: Base | None) -> None:
    """Gives every parameter its value in θ₀.

    Raises:
        InputError: The base's digest is not the regularizer's, or the base lacks a parameter, has it in another shape,
            or has values that are not finite.
    """
    where = "base"
    tensors: Mapping[str, torch.Tensor]
    if base is None:
        tensors = {t.name: t.parameter.detach() for t in tracked}
    elif isinstance(base, nn.Module):
        tensors = named_parameters(base)
    elif isinstance(base, (str, Path)):
        where = str(base)
        if regularizer.sha256_base is not None and (found := checkpoints.sha256_base(base)) != regularizer.sha256_base:
            raise InputError(
                f"{base}: its SHA-256 is {found}; the regularizer {regularizer.path} is for the base "
                f"{regularizer.sha256_base}. Give the checkpoint that was base_model of the job."
            )
        names = {prefix + alias for item in tracked for alias in item.aliases for prefix in ("", "module.")}
        tensors = plain_tensors(tensor_files.load_tensors(base, names))
    else:
        tensors = plain_tensors(base)
    problems: list[str] = []
    for item in tracked:
        value = next((tensors[alias] for alias in item.aliases if alias in tensors), None)
        if value is None:
            problems.append(f"{where}: it lacks {item.name}, which the regularizer {regularizer.path} penalizes.")
        elif value.shape != item.parameter.shape:
            problems.append(
                f"{where}: {item.name} has the shape {list(value.shape)}; the model's has {list(item.parameter.shape)}."
            )
        elif not bool(torch.isfinite(value).all()):
            problems.append(f"{where}: {item.name} has values that are not finite.")
        else:
            # A state dictionary of the model in training shares its memory, and θ₀ would follow θ.
            item.base = value.detach().clone()
    if problems:
        raise InputError(problems)


def _matrix(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(tensor.shape[0], -1)


def _dot(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    if left.device.type == "mps":
        return (left * right).sum()
    return (left * right).sum(dtype=torch.float64)
