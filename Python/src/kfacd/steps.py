"""What the sums of steps and the stream of their rows have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from .calls import Call, Layer, Normalization
from .partials import StatedLayer
from .rows import Batch, MaskOf, Rows3
from .sums import Products
from .traces import ExactTraces

Kind = Literal["tak", "expand", "reduce"]


class Steps:
    """The layers of a run of steps, and what is summed over the rows of each sample of the current one."""

    def __init__(
        self, blocks: Sequence[Layer | Normalization], normalization: Kind, products: Products, balance: bool
    ) -> None:
        """Has made no step.

        Args:
            blocks: What is summed.
            normalization: What is made of the rows of a sample.
            products: The precision of products.
            balance: Whether the exact trace of each layer is summed too.
        """
        self.layers = [block for block in blocks if isinstance(block, Layer)]
        self.normalizations = [block for block in blocks if isinstance(block, Normalization)]
        self.rows: dict[Layer, int] = {}
        self._normalization, self._products = normalization, products
        self._batch = Batch(1)
        self._mask_of: MaskOf = lambda _: None
        self._summed: dict[tuple[Layer | Normalization, str], Tensor] = {}
        self._traces = ExactTraces(products) if balance else None

    def expected(self) -> list[Layer | Normalization]:
        """The layers that every step reaches."""
        return [layer for layer in self.layers if not layer.may_rest] + list(self.normalizations)

    def begin(self, samples: int, mask_of: MaskOf, calls: Sequence[Call]) -> None:
        """Begins a step; sums need not know its calls before."""
        self._batch, self._mask_of = Batch(samples), mask_of
        self._summed.clear()
        if self._traces is not None:
            self._traces.begin(self._batch, mask_of, calls)

    def end(self) -> None:
        """Ends a step, whole or not; nothing of it stays but the sums."""
        self._batch, self._mask_of = Batch(1), lambda _: None
        self._summed.clear()
        if self._traces is not None:
            self._traces.end()

    def _sum_up(self, layer: Layer | Normalization, name: str, values: Tensor) -> None:
        earlier = self._summed.get((layer, name))
        self._summed[layer, name] = values if earlier is None else earlier + values

    def _add_traces(self, call: Call, gradients: Rows3) -> None:
        if self._traces is not None:
            self._traces.add(call, gradients)

    def _end_traces(self) -> None:
        if self._traces is not None:
            self._traces.end_probe()

    def _traces_of(self, layer: Layer) -> list[float | None]:
        """The exact trace of each group of a layer; none unless they are summed."""
        return [None] * len(layer.names) if self._traces is None else [*self._traces.of(layer)]


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
