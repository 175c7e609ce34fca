"""The exact trace of a layer's Gauss-Newton block: Σ ‖Σ_p g_p ã_pᵀ‖² over samples and probes.

The sum over p runs over the rows of one sample, in all calls of the layer. Source: DESIGN section 2.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .calls import Call, Layer
from .rows import Batch, MaskOf, Rows3
from .sums import Products, precision

CHUNK_ELEMENTS = 1 << 24
"""Elements of the products that are made at once."""


class ExactTraces:
    """Adds the squared norms of the samples' gradients, layer by layer; no row is kept behind its step."""

    def __init__(self, products: Products) -> None:
        """Begins empty sums.

        Args:
            products: The precision of products of rows; squares are summed in fp64.
        """
        self._products = products
        self._totals: dict[Layer, Tensor] = {}
        self._batch = Batch(1)
        self._mask_of: MaskOf = lambda _: None
        self._calls: dict[Layer, int] = {}
        self._waiting: dict[Layer, list[tuple[Call, Rows3]]] = {}

    def begin(self, batch: Batch, mask_of: MaskOf, calls: Sequence[Call]) -> None:
        """Begins a step with these calls."""
        self._batch, self._mask_of = batch, mask_of
        self._calls.clear()
        self._waiting.clear()
        for call in calls:
            if isinstance(call.layer, Layer):
                self._calls[call.layer] = self._calls.get(call.layer, 0) + 1

    def add(self, call: Call, gradients: Rows3) -> None:
        """Adds the gradient rows of a call, of one probe.

        Those of a layer with several calls wait for each other, until the probe ends.
        """
        assert isinstance(call.layer, Layer), "only linear layers have a trace"
        self._waiting.setdefault(call.layer, []).append((call, gradients))
        if self._calls.get(call.layer) == 1:
            self._sum_up(call.layer)

    def end_probe(self) -> None:
        """Adds what waited."""
        for layer in list(self._waiting):
            self._sum_up(layer)

    def end(self) -> None:
        """Ends a step, whole or not; nothing of it stays but the sums."""
        self._waiting.clear()
        self._batch, self._mask_of = Batch(1), lambda _: None

    def finite(self) -> Iterator[tuple[str, Tensor]]:
        """Whether a layer's sum is finite, as a truth on the device."""
        for layer, total in self._totals.items():
            yield f"the product of input and output gradient of {layer.name}", torch.isfinite(total.sum())

    def of(self, layer: Layer) -> list[float]:
        """The sum of each group of a layer."""
        found = self._totals.get(layer)
        return [0.0] * len(layer.names) if found is None else [float(each) for each in found]

    def _sum_up(self, layer: Layer) -> None:
        pairs = self._waiting.pop(layer)
        device = pairs[0][1].given.device
        with precision(device, self._products):
            for inputs, gradients in self._samples(pairs):
                for part in _parts(layer, inputs, gradients):
                    total = _norms(layer, *part, self._products)
                    self._totals[layer] = total if layer not in self._totals else self._totals[layer] + total

    def _samples(self, pairs: list[tuple[Call, Rows3]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs [samples, R, …] beside gradients [samples, R, d_out]; rows that do not count are zero."""
        if pairs[0][1].sample is not None:
            inputs = [next(self._batch.input_rows(call, self._mask_of(call))) for call, _ in pairs]
            samples = [rows.sample for rows in inputs if rows.sample is not None]
            yield _by_sample(
                torch.cat(samples),
                torch.cat([rows.values for rows in inputs]),
                torch.cat([rows.values for _, rows in pairs]),
            )
        elif len(pairs) == 1:
            call, gradients = pairs[0]
            values = gradients.values
            for rows in self._batch.input_rows(call, self._mask_of(call)):
                yield rows.values, values[rows.first : rows.first + rows.samples]
        else:
            inputs_of = [
                torch.cat([rows.values for rows in self._batch.input_rows(call, self._mask_of(call))])
                for call, _ in pairs
            ]
            yield torch.cat(inputs_of, dim=1), torch.cat([rows.values for _, rows in pairs], dim=1)


def _by_sample(sample: Tensor, inputs: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Routed rows in the arrangement of samples, filled up with zeros."""
    order = torch.argsort(sample, stable=True)
    numbers, counts = torch.unique_consecutive(sample[order], return_counts=True)
    owner = torch.repeat_interleave(torch.arange(len(numbers), device=sample.device), counts)
    place = torch.arange(len(order), device=sample.device) - (counts.cumsum(0) - counts)[owner]
    longest = int(counts.max()) if len(counts) else 0

    def arranged(rows: Tensor) -> Tensor:
        result = rows.new_zeros(len(numbers), longest, rows.shape[-1])
        result[owner, place] = rows[order]
        return result

    return arranged(inputs), arranged(gradients)


def _pairs_rows(layer: Layer, positions: int) -> bool:
    """Whether the Gram matrices of a sample's rows take fewer multiply-adds than the product."""
    width = layer.input_size + layer.output_size
    return layer.takes_indices or positions * width <= layer.input_size * layer.output_size


def _parts(layer: Layer, inputs: Tensor, gradients: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Samples whose products fit the memory."""
    positions = gradients.shape[1]
    size = positions**2 if _pairs_rows(layer, positions) else layer.input_size * layer.output_size
    yield from zip(
        inputs.split(max(1, CHUNK_ELEMENTS // max(1, size))),
        gradients.split(max(1, CHUNK_ELEMENTS // max(1, size))),
        strict=True,
    )


def _norms(layer: Layer, inputs: Tensor, gradients: Tensor, products: Products) -> Tensor:
    """Σ ‖Σ_p g_p ã_pᵀ‖² over samples, for each group of columns, in fp64."""
    ones = float(layer.has_bias)
    totals: list[Tensor] = []
    for group in range(len(layer.names)):
        g = _rounded(gradients[..., group * layer.output_size : (group + 1) * layer.output_size], products)
        if layer.takes_indices:
            equal = (inputs.unsqueeze(2) == inputs.unsqueeze(1)).to(g.dtype)
            totals.append(_dot(equal + ones, g @ g.mT))
            continue
        a = _rounded(inputs[..., group * layer.input_size : (group + 1) * layer.input_size], products)
        if gradients.shape[1] == 1:
            totals.append(_dot(_wide(a).square().sum((1, 2)) + ones, _wide(g).square().sum((1, 2))))
        elif _pairs_rows(layer, gradients.shape[1]):
            totals.append(_dot(a @ a.mT + ones, g @ g.mT))
        else:
            product, column = g.mT @ a, ones * g.sum(dim=1)
            totals.append(_dot(product, product) + _dot(column, column))
    return torch.stack(totals)


def _rounded(rows: Tensor, products: Products) -> Tensor:
    rows = rows.float()
    return rows.bfloat16().float() if products == "bfloat16" else rows


def _wide(values: Tensor) -> Tensor:
    # Apple's devices have no fp64.
    return (values.cpu() if values.device.type == "mps" else values).double()


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """The inner product; each product of fp32 numbers is exact in fp64."""
    return (_wide(left) * _wide(right)).sum()
