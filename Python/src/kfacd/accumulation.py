"""The sums of a set of layers: from the calls and gradients of a step to Σ ã ãᵀ, Σ g gᵀ and Σ s sᵀ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from .calls import Call, Layer, Normalization
from .errors import SelectionError, listed
from .partials import SummedLayer, SummedParameter
from .rows import (
    MaskOf,
    calls_by_layer,
    kept,
    means,
    parameter_gradients,
    sharing,
    summed,
    summed_one_hot_squares,
)
from .sample_rows import SampleRows
from .steps import Kind, Steps, stated
from .sums import Packed, Products, Sum


class Accumulation(Steps):
    """Adds steps to the sums of layers and parameters.

    Layers that always read the same tensors share the sum of A.
    """

    def __init__(
        self,
        blocks: Sequence[Layer | Normalization],
        normalization: Kind,
        products: Products,
        balance: bool = False,
        sample_rows: SampleRows | None = None,
    ) -> None:
        """Begins empty sums; rows of samples are kept if there is a value for them."""
        super().__init__(blocks, normalization, products, balance)
        self._sample_rows = sample_rows
        self._inputs: dict[Layer, Sum] = {}
        self._gradients: dict[Layer, Sum] = {}
        self._parameters: dict[str, Sum] = {}

    def begin(self, samples: int, mask_of: MaskOf, calls: Sequence[Call]) -> None:
        """Begins a step; sums need not know its calls before."""
        super().begin(samples, mask_of, calls)
        if self._sample_rows is not None:
            self._sample_rows.begin(self._batch, mask_of, calls)

    def end(self) -> None:
        """Ends a step, whole or not; nothing of it stays but the sums, and the rows of samples that are kept."""
        super().end()
        if self._sample_rows is not None:
            self._sample_rows.end()

    def emptied(self) -> Accumulation:
        """Empty sums of the same layers."""
        if self._sample_rows is not None:
            self._sample_rows.clear()
        blocks: list[Layer | Normalization] = [*self.layers, *self.normalizations]
        return Accumulation(blocks, self._normalization, self._products, self._traces is not None, self._sample_rows)

    @property
    def is_whole(self) -> bool:
        """Whether gradients are not needed any more, as for streamed rows."""
        return False

    def add_gradient(self, call: Call, gradient: Tensor) -> None:
        """Adds the gradient of a call's output, of one probe.

        Args:
            call: The call.
            gradient: As the output, in any floating-point type.
        """
        layer = call.layer
        rows = self._batch.gradient_rows(call, gradient, self._mask_of(call))
        if isinstance(layer, Normalization):
            for name, values in parameter_gradients(self._batch, call, layer, rows, self._mask_of(call)):
                self._sum_up(layer, name, values)
            return
        self._add_traces(call, rows)
        if self._sample_rows is not None:
            self._sample_rows.add_gradients(call, rows)
        if self._normalization == "reduce":
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
                if self._sample_rows is not None:
                    self._sample_rows.add_parameter(name, values)
        self._summed.clear()
        if self._sample_rows is not None:
            self._sample_rows.end_probe()
        self._end_traces()

    def add_inputs(self, calls: Iterable[Call]) -> None:
        """Adds the input rows of all calls of the step."""
        calls = list(calls)
        if self._sample_rows is not None:
            self._sample_rows.add_inputs(calls)
        by_layer = calls_by_layer(calls)
        for layers in sharing(by_layer, self._mask_of):
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
        flags += [] if self._traces is None else self._traces.finite()
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
            traces = self._traces_of(layer)
            for index, name in enumerate(layer.names):
                layers.append(
                    SummedLayer(
                        **vars(stated(layer, name, self.rows.get(layer, 0))),
                        exact_trace=traces[index],
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
        values, counts = means(self._batch, calls, self._mask_of)
        target.add(values, int((counts > 0).sum()), self._products)
        return int(counts.sum())

    def _add_indices(self, target: Sum, calls: list[Call]) -> int:
        reduces = self._normalization == "reduce"
        values, count = summed_one_hot_squares(self._batch, calls, self._mask_of, target.size, reduces)
        target.add_to_diagonal(values, 0)
        return count


def _constant(values: Packed) -> Callable[[], Packed]:
    return lambda: values
