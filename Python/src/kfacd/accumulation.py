"""The sums of a set of layers: from the calls and gradients of a step to Σ ã ãᵀ, Σ g gᵀ and Σ s sᵀ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor

from .calls import Call, Layer, Normalization
from .errors import SelectionError, listed
from .partials import SummedLayer, SummedParameter
from .rows import Batch, geometry_of, kept, summed
from .sums import Packed, Products, Sum

Kind = Literal["tak", "expand", "reduce"]
MaskOf = Callable[[Call], Tensor | None]


class Accumulation:
    """Adds steps to the sums of layers and parameters.

    Layers that always read the same tensors share the sum of A.
    """

    def __init__(self, blocks: list[Layer | Normalization], normalization: Kind, products: Products) -> None:
        """Begins empty sums."""
        self.layers = [block for block in blocks if isinstance(block, Layer)]
        self.normalizations = [block for block in blocks if isinstance(block, Normalization)]
        self.rows: dict[Layer, int] = {}
        self._normalization, self._products = normalization, products
        self._inputs: dict[Layer, Sum] = {}
        self._gradients: dict[Layer, Sum] = {}
        self._parameters: dict[str, Sum] = {}
        self._batch = Batch(1)
        self._mask_of: MaskOf = lambda _: None
        self._summed: dict[tuple[Layer | Normalization, str], Tensor] = {}

    def emptied(self) -> Accumulation:
        """Empty sums of the same layers."""
        return Accumulation([*self.layers, *self.normalizations], self._normalization, self._products)

    def expected(self) -> list[Layer | Normalization]:
        """The layers that every step reaches."""
        return [layer for layer in self.layers if not layer.may_rest] + list(self.normalizations)

    def begin(self, samples: int, mask_of: MaskOf) -> None:
        """Begins a step."""
        self._batch, self._mask_of = Batch(samples), mask_of
        self._summed.clear()

    def end(self) -> None:
        """Ends a step, whole or not; nothing of it stays but the sums."""
        self.begin(1, lambda _: None)

    def add_gradient(self, call: Call, gradient: Tensor) -> None:
        """Adds the gradient of a call's output, of one probe.

        Args:
            call: The call.
            gradient: As the output, in any floating-point type.
        """
        layer = call.layer
        rows = self._batch.gradient_rows(call, gradient, self._mask_of(call))
        if isinstance(layer, Normalization):
            (inputs,) = self._batch.input_rows(call, self._mask_of(call))
            if layer.scale is not None:
                self._sum_up(layer, layer.scale, (rows.values.float() * inputs.values).sum(dim=1))
            if layer.shift is not None:
                self._sum_up(layer, layer.shift, rows.values.float().sum(dim=1))
        elif self._normalization == "reduce":
            self._sum_up(layer, "B", summed(rows, self._batch.size))
        else:
            self._gradient_sum(layer).add(kept(rows), 0, self._products)

    def end_probe(self) -> None:
        """Adds what was summed over the rows of each sample."""
        for (layer, name), values in self._summed.items():
            if isinstance(layer, Layer):
                self._gradient_sum(layer).add(values, 0, self._products)
            else:
                self._parameters.setdefault(name, Sum(1, layer.size)).add(values, 0, self._products)
        self._summed.clear()

    def add_inputs(self, calls: Iterable[Call]) -> None:
        """Adds the input rows of all calls of the step."""
        by_layer: dict[Layer, list[Call]] = {}
        for call in calls:
            if isinstance(call.layer, Layer):
                by_layer.setdefault(call.layer, []).append(call)
        equal: dict[object, list[Layer]] = {}
        for layer, own in by_layer.items():
            key = tuple((id(call.input), geometry_of(call), id(self._mask_of(call))) for call in own)
            equal.setdefault(key, []).append(layer)
        for layers in equal.values():
            rows = 0
            for target in self._input_sums(layers):
                rows = self._add_rows(target, by_layer[layers[0]])
            for layer in layers:
                self.rows[layer] = self.rows.get(layer, 0) + rows

    def not_finite(self) -> list[str]:
        """The sums that hold NaN or infinity, by the names of their layers."""
        sums = {f"the input of {layer.name}": each for layer, each in self._inputs.items()}
        sums.update({f"the output gradient of {layer.name}": each for layer, each in self._gradients.items()})
        sums.update({f"the gradient of {name}": each for name, each in self._parameters.items()})
        flags = [(name, each.finite()) for name, each in sums.items()]
        by_device: dict[torch.device, list[tuple[str, Tensor]]] = {}
        for name, flag in flags:
            if flag is not None:
                by_device.setdefault(flag.device, []).append((name, flag))
        # One transfer for each device, not for each sum.
        return [
            name
            for pairs in by_device.values()
            for (name, _), finite in zip(pairs, torch.stack([flag for _, flag in pairs]).tolist(), strict=True)
            if not finite
        ]

    def results(self) -> tuple[list[SummedLayer], list[SummedParameter]]:
        """What was summed; the values are made when they are asked for."""
        layers: list[SummedLayer] = []
        for layer in self._summed_layers():
            inputs = self._inputs.get(layer) or self._empty_input_sum(layer)
            gradients = self._gradient_sum(layer)
            for index, name in enumerate(layer.names):
                layers.append(
                    SummedLayer(
                        name=name,
                        rows=self.rows.get(layer, 0),
                        has_bias=layer.has_bias,
                        layout=layer.layout,
                        input_size=layer.input_size + int(layer.has_bias),
                        output_size=layer.output_size,
                        input_diagonal=layer.input_diagonal,
                        output_diagonal=layer.output_diagonal,
                        input_sum=lambda inputs=inputs, index=index: inputs.packed(index),  # type: ignore[misc]
                        output_sum=lambda sums=gradients, index=index: sums.packed(index),  # type: ignore[misc]
                    )
                )
        parameters = [
            SummedParameter(name, block.size, self._parameters.setdefault(name, Sum(1, block.size)).whole)
            for block in self.normalizations
            for name in block.names
        ]
        return layers, parameters

    def host_results(self) -> tuple[list[SummedLayer], list[SummedParameter]]:
        """What was summed, with values in the host's memory; the sums themselves may go."""
        layers, parameters = self.results()
        return (
            [
                dataclasses.replace(
                    layer, input_sum=_constant(layer.input_sum()), output_sum=_constant(layer.output_sum())
                )
                for layer in layers
            ],
            [dataclasses.replace(parameter, sum=_constant(parameter.sum())) for parameter in parameters],
        )

    # Sums

    def _summed_layers(self) -> list[Layer]:
        """The chosen layers; in place of one whose parts read different tensors, its parts.

        Raises:
            SelectionError: A layer was used both ways.
        """
        parts = [layer for layer in self._gradients if layer not in set(self.layers)]
        whole: list[Layer] = []
        for layer in self.layers:
            own = [part for part in parts if part.name.startswith(f"{layer.name}[")]
            if own and layer in self._inputs:
                raise SelectionError(
                    f'layer "{layer.name}" is used as one layer and in parts ({listed(part.name for part in own)}). '
                    "Such uses cannot be summed; leave it out."
                )
            whole += own or [layer]
        return whole

    def _gradient_sum(self, layer: Layer) -> Sum:
        if layer not in self._gradients:
            self._gradients[layer] = Sum(len(layer.names), layer.output_size, diagonal=layer.output_diagonal)
        return self._gradients[layer]

    @staticmethod
    def _empty_input_sum(layer: Layer) -> Sum:
        return Sum(len(layer.names), layer.input_size, ones=layer.has_bias, diagonal=layer.input_diagonal)

    def _input_sums(self, layers: list[Layer]) -> list[Sum]:
        """The sums to which the common rows of layers belong; each belongs to these layers alone afterwards."""
        earlier = {id(self._inputs[layer]): self._inputs[layer] for layer in layers if layer in self._inputs}
        found: list[Sum] = []
        new = [layer for layer in layers if layer not in self._inputs]
        if new:
            found.append(self._empty_input_sum(new[0]))
            self._inputs.update(dict.fromkeys(new, found[0]))
        for shared in earlier.values():
            holders = [layer for layer, each in self._inputs.items() if each is shared]
            own = shared
            if any(layer not in layers for layer in holders):
                own = shared.clone()
                self._inputs.update({layer: own for layer in holders if layer in layers})
            found.append(own)
        return found

    def _sum_up(self, layer: Layer | Normalization, name: str, values: Tensor) -> None:
        earlier = self._summed.get((layer, name))
        self._summed[layer, name] = values if earlier is None else earlier + values

    # Rows of A

    def _add_rows(self, target: Sum, calls: list[Call]) -> int:
        layer = calls[0].layer
        assert isinstance(layer, Layer), "add_inputs keeps only layers"
        if layer.takes_indices:
            return self._add_indices(target, calls)
        if self._normalization == "reduce":
            return self._add_means(target, calls)
        count = 0
        for call in calls:
            for rows in self._batch.input_rows(call, self._mask_of(call)):
                values = kept(rows)
                target.add(values, values.shape[0], self._products)
                count += values.shape[0]
        return count

    def _add_means(self, target: Sum, calls: list[Call]) -> int:
        size = self._batch.size
        sums: Tensor | None = None
        counts: Tensor | None = None
        for call in calls:
            for rows in self._batch.input_rows(call, self._mask_of(call)):
                part = summed(rows, size)
                if sums is None or counts is None:
                    sums = part.new_zeros(size, part.shape[-1])
                    counts = torch.zeros(size, dtype=torch.long, device=part.device)
                end = size if rows.sample is not None else rows.first + rows.samples
                sums[rows.first : end] += part
                counts[rows.first : end] += rows.counts
        assert sums is not None and counts is not None, "a layer has at least one call"
        # A sample without rows has the mean zero, which adds nothing.
        target.add(sums / counts.clamp_min(1).unsqueeze(-1), int((counts > 0).sum()), self._products)
        return int(counts.sum())

    def _add_indices(self, target: Sum, calls: list[Call]) -> int:
        parts = [rows.values for call in calls for rows in self._batch.input_rows(call, self._mask_of(call))]
        indices = torch.cat(parts, dim=1)
        kept = indices >= 0
        count = int(kept.sum())
        if self._normalization != "reduce":
            values = torch.bincount(indices[kept], minlength=target.size)
        else:
            # Of the mean of one-hot rows the diagonal alone: Σ_n (count_n / R_n)².
            sample = torch.arange(indices.shape[0], device=indices.device).unsqueeze(-1).expand_as(indices)
            pairs, repeats = torch.unique((sample * target.size + indices)[kept], return_counts=True)
            shares = repeats.double() / kept.sum(dim=1)[pairs // target.size].double()
            values = torch.zeros(target.size, dtype=torch.float64, device=indices.device)
            values.index_add_(0, pairs % target.size, shares.square())
        target.add_to_diagonal(values, 0)
        return count


def _constant(values: Packed) -> Callable[[], Packed]:
    return lambda: values
