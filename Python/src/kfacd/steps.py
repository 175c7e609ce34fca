"""What the sums of steps and the stream of their rows have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from .calls import Call, Layer, Normalization
from .partials import StatedLayer
from .rows import Batch, MaskOf
from .sums import Products

Kind = Literal["tak", "expand", "reduce"]


class Steps:
    """The layers of a run of steps, and what is summed over the rows of each sample of the current one."""

    def __init__(self, blocks: Sequence[Layer | Normalization], normalization: Kind, products: Products) -> None:
        """Has made no step."""
        self.layers = [block for block in blocks if isinstance(block, Layer)]
        self.normalizations = [block for block in blocks if isinstance(block, Normalization)]
        self.rows: dict[Layer, int] = {}
        self._normalization, self._products = normalization, products
        self._batch = Batch(1)
        self._mask_of: MaskOf = lambda _: None
        self._summed: dict[tuple[Layer | Normalization, str], Tensor] = {}

    def expected(self) -> list[Layer | Normalization]:
        """The layers that every step reaches."""
        return [layer for layer in self.layers if not layer.may_rest] + list(self.normalizations)

    def begin(self, samples: int, mask_of: MaskOf, calls: Sequence[Call]) -> None:
        """Begins a step; sums need not know its calls before."""
        self._batch, self._mask_of = Batch(samples), mask_of
        self._summed.clear()

    def end(self) -> None:
        """Ends a step, whole or not; nothing of it stays but the sums."""
        self._batch, self._mask_of = Batch(1), lambda _: None
        self._summed.clear()

    def _sum_up(self, layer: Layer | Normalization, name: str, values: Tensor) -> None:
        earlier = self._summed.get((layer, name))
        self._summed[layer, name] = values if earlier is None else earlier + values


def stated(layer: Layer, name: str, rows: int = 0) -> StatedLayer:
    """What a file says of a layer, or of a group of it."""
    return StatedLayer(
        name=name,
        rows=rows,
        has_bias=layer.has_bias,
        layout=layer.layout,
        input_size=layer.input_size + int(layer.has_bias),
        output_size=layer.output_size,
        input_diagonal=layer.input_diagonal,
        output_diagonal=layer.output_diagonal,
    )
