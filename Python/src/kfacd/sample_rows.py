"""The rows of every sample of a run, for joint rows.

The Gram matrix of samples has the products of all pairs, so all rows of a layer are needed together, and their weights
are known only at the end. So rows go to a temporary file as they are made: the program makes one pass over its data,
and the memory holds a part of one layer's rows.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from .calls import Call, Layer
from .codebook import Codebook, Pooled, pooled
from .errors import OptionError, SelectionError, ShapeError, UnusedLayerError, listed
from .joint_compression import JointRanks, RowSide, compressed_rows
from .partials import StatedLayer, StoredTensor, SummedRows, Values
from .rows import Batch, MaskOf, Rows3, calls_by_layer

ROWS_MAX = 16384
"""The most rows of samples and probes; the Gram matrix of so many takes 2 GiB."""


@dataclass
class _Stored:
    """One side of a block in the file."""

    positions: int
    width: int
    device: torch.device
    squares: Tensor
    """Σ ‖row‖² by position, in fp64."""
    count: int = 0
    parts: list[tuple[int, int, int]] = field(default_factory=list)
    """The first element of each part in the file, its samples, and the number of its first row."""
    is_pooled: bool = False
    """Whether samples may have no rows, which count as zero."""


class SampleRows:
    """Keeps the rows of all steps in a file without a name, which ends with this value or with the process."""

    def __init__(
        self,
        ranks: JointRanks,
        directory: str | os.PathLike[str] | None,
        codebook: Codebook | None = None,
        pooled: Set[str] | None = None,
    ) -> None:
        """Begins an empty file.

        Args:
            ranks: How many joint rows are made of the rows.
            directory: Where the file is; by default the system's directory of temporary files.
            codebook: By what rows are pooled, where samples have different numbers of them.
            pooled: The layers whose rows are; by default those with as many as the codebook's layer in the first step.

        Raises:
            OptionError: No file can be made there.
        """
        self._ranks = ranks
        self._codebook = codebook
        self._buckets = torch.empty(0, 0, dtype=torch.long)
        self._pooled = pooled
        self._is_pooled: dict[Layer, bool] = {}
        self._directory = tempfile.gettempdir() if directory is None else os.fspath(directory)
        try:
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115
        except OSError as error:
            raise OptionError(
                f"{self._directory}: no temporary file can be made there ({error.strerror}). Name a directory with "
                "room by scratch=."
            ) from error
        weakref.finalize(self, self._file.close)
        self.clear()

    def clear(self) -> None:
        """Forgets all rows, and begins an empty file."""
        self._file.seek(0)
        self._file.truncate()
        self._size = 0
        self._made: SummedRows | None = None
        self._inputs: dict[str, _Stored] = {}
        self._gradients: dict[str, _Stored] = {}
        self._parameters: set[str] = set()
        self._resting: set[str] = set()
        self._inputs_before = 0
        self._gradients_before = 0
        self._batch = Batch(1)
        self._mask_of: MaskOf = lambda _: None
        self._places: dict[int, int] = {}
        self._calls: dict[Layer, int] = {}
        self._waiting: dict[Layer, list[tuple[int, Tensor]]] = {}

    # A step

    def begin(self, batch: Batch, mask_of: MaskOf, calls: Sequence[Call]) -> None:
        """Begins a step with these calls.

        Raises:
            KfacdError: The codebook's layer is not among them.
        """
        self._made = None
        self._batch, self._mask_of = batch, mask_of
        self._places = {id(call): place for place, call in enumerate(calls)}
        self._calls = {layer: len(own) for layer, own in calls_by_layer(calls).items()}
        self._waiting.clear()
        if self._codebook is not None:
            self._buckets = self._buckets_of(self._codebook, calls)

    def _buckets_of(self, codebook: Codebook, calls: Sequence[Call]) -> Tensor:
        """The bucket of each position of this step, [samples, R]."""
        own = [call for call in calls if codebook.layer in (call.path, call.layer.name)]
        if len(own) != 1 or own[0].token_index is not None:
            raise SelectionError(
                f'the codebook is of layer "{codebook.layer}", which ran {len(own)} times in this step; expected one '
                "run on all positions. Make a codebook of a layer that is collected and runs once."
            )
        parts = list(self._rows_of(own[0]))
        masks = [each.keep for each in parts if each.keep is not None]
        keep = torch.cat(masks) if len(masks) == len(parts) else None
        return codebook.buckets(torch.cat([each.given.detach() for each in parts]), keep)

    def add_gradients(self, call: Call, rows: Rows3) -> None:
        """Adds the gradient rows of a call, of one probe.

        Those of a layer with several calls wait for each other, until the probe ends.

        Raises:
            KfacdError: The samples have different numbers of rows, or there is no room.
        """
        assert isinstance(call.layer, Layer), "parameters of normalisations are summed over positions before"
        self._waiting.setdefault(call.layer, []).append((self._places[id(call)], self._arranged(call, rows).values))
        if self._calls[call.layer] == 1:
            self._store_waiting(call.layer)

    def add_parameter(self, name: str, gradients: Tensor) -> None:
        """Adds the gradients of a parameter outside layers, [samples, d], of one probe."""
        self._parameters.add(name)
        self._store(self._gradients, name, gradients.unsqueeze(1), self._gradients_before)

    def end_probe(self) -> None:
        """Adds what waited."""
        for layer in list(self._waiting):
            self._store_waiting(layer)
        self._gradients_before += self._batch.size

    def add_inputs(self, calls: Iterable[Call]) -> None:
        """Adds the input rows of all calls of the step."""
        for layer, own in calls_by_layer(calls).items():
            if len(own) == 1:
                for rows in self._rows_of(own[0]):
                    first = self._inputs_before + rows.first
                    self._store_groups(self._inputs, layer, first, *self._arranged(own[0], rows))
                continue
            parts = [[self._arranged(call, rows) for rows in self._rows_of(call)] for call in own]
            values = torch.cat([torch.cat([each.values for each in part]) for part in parts], dim=1)
            ones = torch.cat([torch.cat([each.ones for each in part]) for part in parts], dim=1)
            self._store_groups(self._inputs, layer, self._inputs_before, values, ones)
        self._inputs_before += self._batch.size

    def end(self) -> None:
        """Ends a step, whole or not."""
        self._batch, self._mask_of = Batch(1), lambda _: None
        self._places.clear()
        self._calls.clear()
        self._waiting.clear()

    # Joint rows

    def summed(
        self, names: Iterable[str], samples: int, probes: int, resting: Iterable[StatedLayer] = ()
    ) -> SummedRows:
        """The joint rows of the samples, under their own weights; the same bytes until the next step.

        They go to a temporary file too: a push reads them several times.

        Args:
            names: The layers and parameters with factors.
            samples: N.
            probes: M.
            resting: Layers that no sample of this file reached; where positions are pooled their rows are zero.

        Raises:
            UnusedLayerError: Some samples have no rows in a layer or a parameter.
            OptionError: There is no room for them.
        """
        if self._made is None:
            if self._codebook is not None:
                self._rest(self._codebook, resting)
            self._made = self._kept(self._compressed(names, samples, probes))
        return self._made

    def _rest(self, codebook: Codebook, layers: Iterable[StatedLayer]) -> None:
        device = next((each.device for each in self._gradients.values()), torch.device("cpu"))
        for layer in layers:
            for side, width in ((self._inputs, layer.input_size), (self._gradients, layer.output_size)):
                zeros = torch.zeros(codebook.count, dtype=torch.float64)
                side.setdefault(layer.name, _Stored(codebook.count, width, device, zeros, is_pooled=True))
            self._resting.add(layer.name)

    def _compressed(self, names: Iterable[str], samples: int, probes: int) -> SummedRows:
        count = max((each.count for each in self._gradients.values()), default=0)

        def is_whole(side: dict[str, _Stored], name: str, count: int) -> bool:
            return name in side and (side[name].count == count or side[name].is_pooled)

        partly = [
            name
            for name in names
            if not is_whole(self._gradients, name, count)
            or (name not in self._parameters and not is_whole(self._inputs, name, samples))
        ]
        if partly:
            raise UnusedLayerError(
                f"joint rows need rows of all {samples} samples, and some have none in {listed(partly)}. Leave it out."
            )
        self._file.flush()
        inputs = [self._side(name, each, samples, samples) for name, each in sorted(self._inputs.items())]
        device = next(iter(self._gradients.values())).device
        ones = torch.ones(samples, 1, 1)
        inputs.append(RowSide("", samples, 1, 1, torch.ones(1, dtype=torch.float64), device, lambda _, __: ones))
        gradients = [self._side(name, each, count, samples * probes) for name, each in sorted(self._gradients.items())]
        scales = (samples**-0.5, (samples * probes) ** -0.5)
        rows = compressed_rows(inputs, gradients, self._parameters, self._ranks, scales)
        if self._codebook is None:
            return rows
        layers = {name for layer, is_pooled in self._is_pooled.items() if is_pooled for name in layer.names}
        layers |= self._resting
        return replace(rows, codebook=self._codebook.digest, pooled=sorted(layers & self._gradients.keys()))

    def _kept(self, rows: SummedRows) -> SummedRows:
        """The same rows, whose values are read from a temporary file."""
        # It ends with the last tensor that reads it.
        file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115
        tensors = []
        offset = 0
        for tensor in rows.tensors:
            values = np.ascontiguousarray(tensor.make(), dtype="<f4").reshape(tensor.shape)
            try:
                file.write(values.data)
            except OSError as error:
                raise OptionError(
                    f"{self._directory}: the joint rows have no room there ({error.strerror}). Name a larger directory "
                    "by scratch=, or ask for fewer joint rows."
                ) from error

            def read(offset: int = offset, shape: tuple[int, ...] = tensor.shape) -> Values:
                return np.memmap(file, dtype="<f4", mode="r", offset=offset, shape=shape)

            tensors.append(StoredTensor(tensor.name, tensor.shape, read))
            offset += values.nbytes
        file.flush()
        return replace(rows, tensors=tensors)

    def _side(self, name: str, stored: _Stored, count: int, divisor: int) -> RowSide:
        def read(first: int, end: int) -> Tensor:
            elements = np.memmap(self._file, dtype=np.float32, mode="r")
            make = np.empty if stored.count == count else np.zeros
            rows = make((count, end - first, stored.width), dtype=np.float32)
            for start, samples, place in stored.parts:
                size = samples * stored.positions * stored.width
                part = elements[start : start + size].reshape(samples, stored.positions, stored.width)
                rows[place : place + samples] = part[:, first:end]
            return torch.from_numpy(rows)

        return RowSide(name, count, stored.positions, stored.width, stored.squares / divisor, stored.device, read)

    # The file

    def _rows_of(self, call: Call) -> Iterator[Rows3]:
        return self._batch.input_rows(call, self._mask_of(call))

    def _store_waiting(self, layer: Layer) -> None:
        parts = sorted(self._waiting.pop(layer), key=lambda part: part[0])
        values = torch.cat([values for _, values in parts], dim=1)
        self._store_groups(self._gradients, layer, self._gradients_before, values)

    def _arranged(self, call: Call, rows: Rows3) -> Pooled:
        """Rows by position, or by bucket where there is a codebook and they have its positions, [samples, P, d].

        Raises:
            KfacdError: Samples have different numbers of rows, and no buckets.
        """
        assert isinstance(call.layer, Layer), "parameters of normalisations are summed over positions before"
        size, positions = self._buckets.shape
        given = call.tokens // size if rows.sample is not None and size > 0 else rows.given.shape[1]
        if self._codebook is None or not self._pools(call.layer, given == positions):
            values = _equal_rows(call, rows)
            return Pooled(values, values.new_ones(*values.shape[:-1], 1))
        if given != positions:
            raise ShapeError(
                f'layer "{call.layer.name}" has {given} rows of each sample in this step, and the codebook\'s layer '
                f'"{self._codebook.layer}" {positions}; pooled layers have as many. Leave it out with '
                f'"!{call.layer.name}", or of pooled=.'
            )
        width = rows.given.shape[-1]
        if rows.sample is not None:
            assert call.token_index is not None, "routed rows have the indices of tokens"
            buckets = self._buckets[rows.sample, call.token_index % positions]
            if rows.keep is not None:
                buckets = buckets.masked_fill(~rows.keep, -1)
            return pooled(rows.given, rows.sample, buckets, size, self._codebook.count)
        buckets = self._buckets[rows.first : rows.first + rows.samples]
        present = buckets >= 0
        if not torch.equal(present, present.new_ones(present.shape) if rows.keep is None else rows.keep.bool()):
            raise ShapeError(
                f'the mask of layer "{call.layer.name}" is not that of the codebook\'s layer "{self._codebook.layer}". '
                f'Give both the same mask, or leave the layer out with "!{call.layer.name}".'
            )
        samples = torch.arange(rows.samples, device=buckets.device).unsqueeze(1).expand_as(buckets)
        return pooled(
            rows.given.reshape(-1, width), samples.reshape(-1), buckets.reshape(-1), rows.samples, self._codebook.count
        )

    def _pools(self, layer: Layer, has_positions: bool) -> bool:
        """Whether a layer's rows are pooled: as it was said, or else if they have the codebook's positions at first."""
        if layer not in self._is_pooled:
            if self._pooled is None and self._buckets.shape[1] == 1 and has_positions:
                raise ShapeError(
                    f'samples have one position in the first step, so nothing tells whether layer "{layer.name}" has '
                    "those of the codebook's layer. Begin with longer samples, or name the layers by pooled=."
                )
            self._is_pooled[layer] = has_positions if self._pooled is None else layer.name in self._pooled
        return self._is_pooled[layer]

    def _store_groups(
        self, side: dict[str, _Stored], layer: Layer, first: int, values: Tensor, ones: Tensor | None = None
    ) -> None:
        """Stores the columns of each group of a layer, with those of ones behind them for a bias."""
        for name, columns in zip(layer.names, values.chunk(len(layer.names), dim=-1), strict=True):
            if layer.has_bias and ones is not None:
                columns = torch.cat([columns, ones], dim=-1)
            self._store(side, name, columns, first, self._is_pooled.get(layer, False))

    def _store(self, side: dict[str, _Stored], name: str, values: Tensor, first: int, is_pooled: bool = False) -> None:
        values = values.float()
        samples, positions, width = values.shape
        if name not in side:
            zeros = torch.zeros(positions, dtype=torch.float64)
            side[name] = _Stored(positions, width, values.device, zeros, is_pooled=is_pooled)
        stored = side[name]
        if positions != stored.positions:
            raise ShapeError(
                f'layer "{name}" has {positions} rows of each sample in this step, and had {stored.positions} before; '
                "joint rows need as many of all samples. Give all samples the same length, pool positions with "
                f'codebook=, or leave it out with "!{name}".'
            )
        if first + samples > ROWS_MAX:
            raise OptionError(
                f"joint rows were asked of more than {ROWS_MAX} samples, or samples times probes. Collect fewer."
            )
        stored.squares += values.square().sum(dim=(0, 2)).cpu().double()
        stored.parts.append((self._size, samples, first))
        stored.count += samples
        try:
            self._file.write(np.ascontiguousarray(values.cpu().numpy()).data)
        except OSError as error:
            raise OptionError(
                f"{self._directory}: the rows of the samples, {4 * self._size / 1e9:.1f} GB so far, have no room there "
                f"({error.strerror}). Name a larger directory by scratch=, or collect fewer samples or probes."
            ) from error
        self._size += values.numel()


def _equal_rows(call: Call, rows: Rows3) -> Tensor:
    """[samples, R, d], if each sample has as many rows.

    Raises:
        KfacdError: It has not.
    """
    if rows.sample is not None:
        raise SelectionError(
            f'layer "{call.layer.name}" is reached by some positions only, so that samples have different numbers of '
            f"rows; joint rows need as many of all samples. Pool positions with codebook=, or leave it out with "
            f'"!{call.layer.name}".'
        )
    if rows.keep is not None:
        raise ShapeError(
            f'the mask leaves out rows of layer "{call.layer.name}"; joint rows need as many of all samples. Give '
            "samples without padding, pool positions with codebook=, or leave the layer out with "
            f'"!{call.layer.name}".'
        )
    return rows.given
