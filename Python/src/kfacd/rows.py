"""The rows of a call: which sample each belongs to, and which of them count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .calls import Call, Layer, Normalization, Rows
from .errors import ShapeError

MaskOf = Callable[[Call], Tensor | None]

CHUNK_ELEMENTS = 1 << 24
"""Elements of rows that are made at once, where they are more than the input's."""


@dataclass
class Rows3:
    """Rows of consecutive samples, or of routed tokens.

    Attributes:
        given: [samples, R, d], or [rows, d] of routed tokens, or [samples, R] of indices, −1 where none counts.
        counts: The rows of each sample of the step, [samples], or R where all have as many.
        first: The first sample.
        sample: The sample of each row, where the rows are of routed tokens.
        keep: Which rows count, [samples, R] or [rows], where not all do; those of indices tell it themselves.
        index: The numbers of the rows that count, where they are known.
    """

    given: Tensor
    counts: Tensor | int
    first: int = 0
    sample: Tensor | None = None
    keep: Tensor | None = None
    index: Tensor | None = None

    @property
    def samples(self) -> int:
        """The samples of these rows."""
        return self.given.shape[0]

    @property
    def values(self) -> Tensor:
        """The rows in their arrangement; those that do not count are zero."""
        # Padding may hold anything, also NaN, so it is not multiplied by zero.
        return self.given if self.keep is None else self.given.masked_fill(~self.keep.unsqueeze(-1), 0)


@dataclass(frozen=True)
class Expanded:
    """The mask of a layer's rows.

    Attributes:
        keep: [samples, R], or none where all rows count.
        counts: The rows of each sample.
        index: The numbers of the rows that count.
    """

    keep: Tensor | None
    counts: Tensor | int
    index: Tensor | None


class Batch:
    """The samples of one step, and the mask of their positions."""

    def __init__(self, size: int) -> None:
        """Describes a step of so many samples."""
        self.size = size
        self._expanded: dict[tuple[int, int, int], Expanded] = {}

    def input_rows(self, call: Call, mask: Tensor | None) -> Iterator[Rows3]:
        """The rows of a call's input, in chunks of samples.

        Raises:
            ShapeError: The input or the mask is not of this batch.
        """
        value = call.input
        if call.token_index is not None:
            yield self._routed(call, value, mask)
            return
        is_index = not value.is_floating_point()
        per_sample = self._leading(call, value)
        elements = value.numel() // self.size * call.expansion
        step = self.size if call.expansion == 1 else max(1, CHUNK_ELEMENTS // max(1, elements))
        for first in range(0, self.size, step):
            samples = min(step, self.size - first)
            part = value[first * per_sample : (first + samples) * per_sample]
            yield self._arranged(call, part, call.input_rows, mask, first, samples, is_index)

    def gradient_rows(self, call: Call, gradient: Tensor, mask: Tensor | None) -> Rows3:
        """The rows of the gradient of a call's output."""
        if call.token_index is not None:
            return self._routed(call, gradient, mask)
        self._leading(call, gradient)
        return self._arranged(call, gradient, call.gradient_rows, mask, 0, self.size, False)

    def _leading(self, call: Call, value: Tensor) -> int:
        """Rows of the first dimension for each sample."""
        leading = value.shape[0] if value.dim() > 0 else 0
        if leading == 0 or leading % self.size or (value.dim() == 1 and value.is_floating_point() and self.size > 1):
            raise ShapeError(
                f'layer "{call.path}" was given {list(value.shape)}, but the output has {self.size} samples; '
                f"expected a first dimension of {self.size}, or a multiple. Leave the layer out "
                f'with "!{call.layer.name}".'
            )
        return leading // self.size

    def _arranged(
        self, call: Call, value: Tensor, rows: Rows | None, mask: Tensor | None, first: int, samples: int, index: bool
    ) -> Rows3:
        shape = value.shape
        if rows is not None:
            value = rows(value)
        arranged = value.reshape(samples, -1) if index else value.reshape(samples, -1, value.shape[-1])
        positions = arranged.shape[1]
        counts: Tensor | int = positions
        keep: Tensor | None = None
        kept_index: Tensor | None = None
        if mask is not None and not (positions == 1 and mask.shape[1] != 1):
            expanded = self._mask(call, mask, positions, shape[1] if len(shape) > 1 else 1)
            if expanded.keep is not None and isinstance(expanded.counts, Tensor):
                part = slice(first, first + samples)
                keep, counts = expanded.keep[part], expanded.counts[part]
                kept_index = expanded.index if samples == self.size else None
        if index:
            if keep is not None:
                arranged = arranged.masked_fill(~keep, -1)
            return Rows3(arranged, (arranged >= 0).sum(dim=1), first)
        return Rows3(arranged, counts, first, keep=keep, index=kept_index)

    def _mask(self, call: Call, mask: Tensor, positions: int, second: int) -> Expanded:
        """The mask of a layer's rows."""
        width = mask.shape[1]
        repeats = positions // width if second == width and positions % width == 0 else 1
        if positions != width * repeats:
            raise ShapeError(
                f'mask has the shape {list(mask.shape)}, but layer "{call.path}" has {positions} positions for each of '
                f"{self.size} samples; expected [{self.size}, {positions}]. Give masks by pattern, as in "
                'mask={"encoder.*": …, "decoder.*": …}, or leave the layer out.'
            )
        key = (id(mask), positions, repeats)
        if key not in self._expanded:
            keep = mask if repeats == 1 else mask.repeat_interleave(repeats, dim=1)
            # Found once for all layers: a device waits for it.
            index = keep.reshape(-1).nonzero().squeeze(-1)
            is_whole = index.numel() == keep.numel()
            self._expanded[key] = (
                Expanded(None, positions, None) if is_whole else Expanded(keep, keep.sum(dim=1), index)
            )
        return self._expanded[key]

    def _routed(self, call: Call, value: Tensor, mask: Tensor | None) -> Rows3:
        index = call.token_index
        assert index is not None, "the caller has looked"
        if call.tokens % self.size:
            raise ShapeError(
                f'layer "{call.path}" routes {call.tokens} tokens, which is no multiple of the {self.size} samples of '
                "the output. Give all samples the same length, and a mask."
            )
        sample = index // (call.tokens // self.size)
        keep: Tensor | None = None
        if mask is not None:
            if mask.numel() != call.tokens:
                raise ShapeError(
                    f'mask has the shape {list(mask.shape)}, but layer "{call.path}" routes {call.tokens} tokens; '
                    f"expected [{self.size}, {call.tokens // self.size}]."
                )
            keep = mask.reshape(-1)[index]
        ones = torch.ones_like(index) if keep is None else keep.long()
        counts = torch.zeros(self.size, dtype=torch.long, device=index.device).index_add_(0, sample, ones)
        return Rows3(value, counts, sample=sample, keep=keep)


def summed(rows: Rows3, batch: int) -> Tensor:
    """Σ_r of each sample, [samples of the step, d], in fp32."""
    values = rows.values.float()
    if rows.sample is not None:
        return values.new_zeros(batch, values.shape[-1]).index_add_(0, rows.sample, values)
    return values.sum(dim=1)


def kept(rows: Rows3) -> Tensor:
    """The rows that count, [rows, d]; the given ones where all do."""
    values = rows.given.reshape(-1, rows.given.shape[-1])
    if rows.keep is None:
        return values
    return values.index_select(0, rows.keep.reshape(-1).nonzero().squeeze(-1) if rows.index is None else rows.index)


def calls_by_layer(calls: Iterable[Call]) -> dict[Layer, list[Call]]:
    """The calls of each linear layer, in their order."""
    found: dict[Layer, list[Call]] = {}
    for call in calls:
        if isinstance(call.layer, Layer):
            found.setdefault(call.layer, []).append(call)
    return found


def sharing(by_layer: Mapping[Layer, Sequence[Call]], mask_of: MaskOf) -> list[list[Layer]]:
    """The layers, in groups that read the same rows."""
    equal: dict[object, list[Layer]] = {}
    for layer, calls in by_layer.items():
        key = tuple((id(call.input), geometry_of(call), id(mask_of(call))) for call in calls)
        equal.setdefault(key, []).append(layer)
    return list(equal.values())


def parameter_gradients(
    batch: Batch, call: Call, block: Normalization, gradients: Rows3, mask: Tensor | None
) -> Iterator[tuple[str, Tensor]]:
    """The gradient of a scale and a shift for each sample, [samples, d], by the parameter's name."""
    if block.scale is not None:
        (inputs,) = batch.input_rows(call, mask)
        yield block.scale, (gradients.values.float() * inputs.values).sum(dim=1)
    if block.shift is not None:
        yield block.shift, gradients.values.float().sum(dim=1)


def means(batch: Batch, calls: Iterable[Call], mask_of: MaskOf) -> tuple[Tensor, Tensor]:
    """The mean input row of each sample over all calls, and the rows of each sample.

    A sample without rows has the mean zero, which adds nothing.
    """
    sums: Tensor | None = None
    counts: Tensor | None = None
    for call in calls:
        for rows in batch.input_rows(call, mask_of(call)):
            part = summed(rows, batch.size)
            if sums is None or counts is None:
                sums = part.new_zeros(batch.size, part.shape[-1])
                counts = torch.zeros(batch.size, dtype=torch.long, device=part.device)
            end = batch.size if rows.sample is not None else rows.first + rows.samples
            sums[rows.first : end] += part
            counts[rows.first : end] += rows.counts
    assert sums is not None and counts is not None, "a layer has at least one call"
    return sums / counts.clamp_min(1).unsqueeze(-1), counts


def summed_one_hot_squares(
    batch: Batch, calls: Iterable[Call], mask_of: MaskOf, size: int, reduces: bool
) -> tuple[Tensor, int]:
    """The diagonal of A of an embedding, [size], and its rows.

    That is the counts of the indices; under `reduce` it is Σ_n (count_n / R_n)², of the mean of one-hot rows.
    """
    indices = torch.cat([rows.values for call in calls for rows in batch.input_rows(call, mask_of(call))], dim=1)
    keep = indices >= 0
    count = int(keep.sum())
    if not reduces:
        return torch.bincount(indices[keep], minlength=size), count
    sample = torch.arange(indices.shape[0], device=indices.device).unsqueeze(-1).expand_as(indices)
    pairs, repeats = torch.unique((sample * size + indices)[keep], return_counts=True)
    shares = repeats.double() / keep.sum(dim=1)[pairs // size].double()
    values = torch.zeros(size, dtype=torch.float64, device=indices.device)
    values.index_add_(0, pairs % size, shares.square())
    return values, count


def geometry_of(call: Call) -> object:
    """What, besides the input tensor, decides the input rows and the form of their sum."""
    layer = call.layer
    assert isinstance(layer, Layer), "only linear layers have input sums"
    form = (len(layer.names), layer.has_bias, layer.input_diagonal, layer.takes_indices)
    routed = None if call.token_index is None else id(call.token_index)
    return (call.geometry, form, routed)
