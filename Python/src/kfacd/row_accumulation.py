"""The rows of steps as a stream to workers, in place of their sums."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .calls import Call, Layer, Normalization
from .cluster.offers import RowSum
from .errors import SelectionError, listed
from .partials import StatedLayer, text_of
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
from .selection import Watched
from .steps import Kind, Steps, stated
from .sums import Products, Sum

ROW_BYTES_MAX = 1 << 20
"""A row travels in one message; source: CLIENT.md, Limits."""


class Stream(Protocol):
    """Takes the rows of a sequence; source: `cluster.streams.RowStream`."""

    @property
    def is_whole(self) -> bool:
        """Whether the sums are durable already."""

    def send(self, index: int, rows: memoryview, element_type: str) -> None:
        """Sends whole rows of a sum."""

    def commit(self, metadata: dict[str, str]) -> None:
        """Makes the sums durable."""

    def close(self) -> None:
        """Ends the stream."""


Open = Callable[[Sequence[StatedLayer], Sequence[RowSum]], Stream]


@dataclass
class _Target:
    """Where rows of one side of layers go."""

    indices: list[int]
    """The sums of the stream, one for each group of columns."""
    size: int
    """Columns of a group."""
    name: str
    """The first layer, for messages."""
    diagonal: Sum | None
    """Where only the diagonal is wanted, it is summed here, and one row of its roots stands for all."""
    holders: frozenset[Layer] = frozenset()


class RowAccumulation(Steps):
    """Sends the rows of steps, as `Accumulation` sums them.

    The stream begins at the first step, which shows what layers read the same rows: these are sent once.
    """

    def __init__(
        self,
        blocks: Sequence[Layer | Normalization],
        normalization: Kind,
        products: Products,
        open: Open,
        balance: bool = False,
    ) -> None:
        """Sends nothing yet."""
        super().__init__(blocks, normalization, products, balance)
        self._open = open
        self._kind, self._type = ("BF16", torch.bfloat16) if products == "bfloat16" else ("F32", torch.float32)
        self._stream: Stream | None = None
        self._inputs: dict[Layer, _Target] = {}
        self._gradients: dict[Layer, _Target] = {}
        self._parameters: dict[str, _Target] = {}
        self._announced: list[Layer] = []
        self._present: dict[Layer, Tensor] = {}
        self._wrong: list[str] = []

    def emptied(self) -> RowAccumulation:
        """The next sequence of the same layers."""
        self.close()
        blocks: list[Layer | Normalization] = [*self.layers, *self.normalizations]
        return RowAccumulation(
            blocks, self._normalization, self._products, self._open, balance=self._traces is not None
        )

    def close(self) -> None:
        """Ends a stream that is not committed."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    @property
    def is_whole(self) -> bool:
        """Whether the coordinator has the sums of this sequence already, so that no gradients are needed."""
        return self._stream is not None and self._stream.is_whole

    def begin(self, samples: int, mask_of: MaskOf, calls: Sequence[Call]) -> None:
        """Begins a step; the first one offers the stream.

        Raises:
            KfacdError: The offer is refused, or there was no place for too long.
        """
        super().begin(samples, mask_of, calls)
        self._present.clear()
        self._wrong.clear()
        if self._stream is None:
            self._stream = self._open(*self._announce(calls))

    def end(self) -> None:
        """Ends a step, whole or not; nothing of it stays."""
        super().end()
        self._present.clear()

    def add_gradient(self, call: Call, gradient: Tensor) -> None:
        """Sends the gradient of a call's output, of one probe, as `Accumulation.add_gradient`."""
        layer = call.layer
        mask = self._mask_of(call)
        rows = self._batch.gradient_rows(call, gradient.float(), mask)
        if isinstance(layer, Normalization):
            for name, values in parameter_gradients(self._batch, call, layer, rows, mask):
                self._sum_up(layer, name, values)
            return
        self._add_traces(call, rows)
        if self._normalization == "reduce":
            self._sum_up(layer, "B", summed(rows, self._batch.size))
            counts = torch.as_tensor(rows.counts, device=gradient.device).expand(self._batch.size) > 0
            self._present[layer] = self._present[layer] | counts if layer in self._present else counts
        else:
            self._send(self._target(self._gradients, layer), kept(rows), "output gradient")

    def end_probe(self) -> None:
        """Sends what was summed over the rows of each sample."""
        for (layer, _), values in self._summed.items():
            if isinstance(layer, Layer):
                # A sample without rows in the layer has no row.
                self._send(self._target(self._gradients, layer), values[self._present[layer]], "output gradient")
        for block in self.normalizations:
            for name in block.names:
                values = self._summed.get((block, name), torch.zeros(self._batch.size, block.size))
                self._send(self._parameters[name], values, "gradient")
        self._summed.clear()
        self._present.clear()
        self._end_traces()

    def add_inputs(self, calls: Iterable[Call]) -> None:
        """Sends the input rows of all calls of the step.

        Raises:
            SelectionError: Layers shared their input in the first step, and do not in this one.
        """
        by_layer = calls_by_layer(calls)
        sent: set[int] = set()
        for layers in sharing(by_layer, self._mask_of):
            for layer in layers:
                target = self._target(self._inputs, layer)
                if not target.holders.issubset(layers):
                    raise SelectionError(
                        f"{listed(sorted(each.name for each in target.holders))} read the same rows in the first step, "
                        'and not in this one. Leave all but one of them out, or collect their sums, with sink="sums".'
                    )
                if id(target) not in sent:
                    sent.add(id(target))
                    count = self._send_inputs(target, layer, by_layer[layer])
                    self.rows.update({each: self.rows.get(each, 0) + count for each in target.holders})

    def not_finite(self) -> list[str]:
        """What held NaN, infinity or squares beyond fp32 in this step; it was not sent."""
        traces = [] if self._traces is None else [name for name, finite in self._traces.finite() if not finite]
        return list(dict.fromkeys(self._wrong + traces))

    def commit(self, samples: int) -> None:
        """Makes the sums durable at the coordinator.

        Raises:
            StreamEndedError: The stream was lost; nothing is kept.
            KfacdError: The coordinator refuses it.
        """
        assert self._stream is not None, "a step was made"
        if not self.is_whole:
            for index, roots in self._roots():
                self._stream.send(index, roots, "F32")
        rows = {name: self.rows.get(layer, 0) for layer in self._announced for name in layer.names}
        counts = {"samples": str(samples)}
        if rows:
            counts["rows"] = text_of(rows)
        if rows and self._traces is not None:
            counts["exact_trace"] = text_of(
                {
                    name: trace
                    for layer in self._announced
                    for name, trace in zip(layer.names, self._traces_of(layer), strict=True)
                }
            )
        self._stream.commit(counts)
        self.close()

    # The offer

    def _announce(self, calls: Sequence[Call]) -> tuple[list[StatedLayer], list[RowSum]]:
        """What the stream will have: the chosen layers, or their parts where parts read different tensors."""
        by_layer = calls_by_layer(calls)
        parts = [layer for layer in by_layer if layer not in set(self.layers)]
        self._announced = []
        for layer in self.layers:
            own = [part for part in parts if part.name.startswith(f"{layer.name}[")]
            self._announced += own or [layer]
        sums: list[RowSum] = []
        groups = sharing({layer: by_layer[layer] for layer in self._announced if layer in by_layer}, self._mask_of)
        groups += [[layer] for layer in self._announced if layer not in by_layer]
        for layers in groups:
            first = layers[0]
            # Each of its rows has a one for a bias, so no row can stand for others.
            is_local = first.input_diagonal and not first.has_bias
            target = self._new_target(sums, layers, "A", first.input_size, is_local)
            self._inputs.update(dict.fromkeys(layers, target))
        for layer in self._announced:
            self._gradients[layer] = self._new_target(sums, [layer], "B", layer.output_size, layer.output_diagonal)
        for block in self.normalizations:
            for name in block.names:
                self._parameters[name] = _Target([len(sums)], block.size, name, None)
                sums.append(RowSum((f"{name}.F",), block.size))
        return [stated(layer, name) for layer in self._announced for name in layer.names], sums

    @staticmethod
    def _new_target(sums: list[RowSum], layers: Sequence[Layer], side: str, size: int, is_local: bool) -> _Target:
        groups = len(layers[0].names)
        diagonal = Sum(groups, size, diagonal=True) if is_local else None
        target = _Target([], size, layers[0].name, diagonal, frozenset(layers))
        for group in range(groups):
            target.indices.append(len(sums))
            sums.append(RowSum(tuple(f"{layer.names[group]}.{side}" for layer in layers), size))
        return target

    def _target(self, targets: dict[Layer, _Target], layer: Layer) -> _Target:
        if layer not in targets:
            raise SelectionError(
                f'layer "{layer.name}" is used as one layer and in parts. Such uses cannot be summed; leave it out.'
            )
        return targets[layer]

    # Rows

    def _send_inputs(self, target: _Target, layer: Layer, calls: list[Call]) -> int:
        if layer.takes_indices:
            assert target.diagonal is not None, "A of an embedding is a diagonal without a bias"
            reduces = self._normalization == "reduce"
            values, count = summed_one_hot_squares(self._batch, calls, self._mask_of, target.size, reduces)
            target.diagonal.add_to_diagonal(values, 0)
            return count
        if self._normalization == "reduce":
            values, counts = means(self._batch, calls, self._mask_of)
            self._send(target, values[counts > 0], "input")
            return int(counts.sum())
        count = 0
        for call in calls:
            for rows in self._batch.input_rows(call, self._mask_of(call)):
                values = kept(rows)
                self._send(target, values, "input")
                count += values.shape[0]
        return count

    def _send(self, target: _Target, values: Tensor, what: str) -> None:
        if values.shape[0] == 0:
            return
        values = values.to(self._type)
        # The norm is NaN where a row has one, and a single pass over the rows.
        if not float(torch.linalg.vector_norm(values, torch.inf)) < _ROOT_OF_LARGEST:
            self._wrong.append(f"the {what} of {target.name}")
            return
        if target.diagonal is not None:
            target.diagonal.add(values, 0, self._products)
            return
        assert self._stream is not None, "begin opens it"
        for group, index in enumerate(target.indices):
            part = values[:, group * target.size : (group + 1) * target.size]
            self._stream.send(index, _bytes(part), self._kind)

    def _roots(self) -> Iterator[tuple[int, memoryview]]:
        targets = {id(target): target for target in [*self._inputs.values(), *self._gradients.values()]}
        for target in targets.values():
            for group, index in enumerate(target.indices):
                if target.diagonal is not None:
                    yield index, np.sqrt(target.diagonal.packed(group)).astype("<f4").data.cast("B")


_ROOT_OF_LARGEST = float(torch.finfo(torch.float32).max) ** 0.5


def require_narrow_rows(watched: Iterable[Watched], products: Products) -> None:
    """Refuses layers with rows larger than a message.

    Raises:
        SelectionError: With their names.
    """
    size = 2 if products == "bfloat16" else 4
    bytes_of: dict[str, int] = {}
    for block in (block for each in watched for block in each.blocks):
        if isinstance(block, Normalization):
            bytes_of.update({f"{name}.F": block.size * size for name in block.names})
        else:
            # A diagonal's row of roots is in fp32.
            bytes_of[f"{block.name}.A"] = block.input_size * (4 if block.input_diagonal else size)
            bytes_of[f"{block.name}.B"] = block.output_size * (4 if block.output_diagonal else size)
    if wide := [name for name, count in bytes_of.items() if count > ROW_BYTES_MAX]:
        raise SelectionError(
            f"a row of {listed(wide)} has up to {max(bytes_of.values())} bytes, and the wire takes rows of at most "
            f'{ROW_BYTES_MAX}. Leave such layers out, or collect their sums, with sink="sums".'
        )


def _bytes(values: Tensor) -> memoryview:
    """The bytes of a tensor in the host's memory."""
    host = values.contiguous().cpu()
    # numpy has no bf16.
    found: memoryview = (host.view(torch.int16) if host.dtype == torch.bfloat16 else host).numpy().data.cast("B")
    return found
