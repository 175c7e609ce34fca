"""Buckets of positions, for joint rows of sequences whose positions mean nothing fixed.

A codebook has centroids of one layer's inputs. Each position belongs to the nearest centroid, and the rows of a bucket
are pooled: Σ_{p∈c} row_p / √n_c over its n_c positions. All owners use the same codebook, or their rows could not be
joined. Source: Sources/DESIGN.md, section 2.2, joint form.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .errors import OptionError, ShapeError
from .joint_compression import CHUNK_ELEMENTS
from .partials import StoredTensor, text_of, write_tensors
from .problems import InputError
from .selection import named_modules
from .tensor_files import described_tensors

FORMAT = "kfacd.codebook/1"
ROWS_MAX = 65536
"""The most rows of which centroids are made; of more, a sample is."""
FIRST_MAX = 4096
"""The most positions with buckets of their own."""
ROUNDS = 30
"""The most rounds of k-means."""


@dataclass(frozen=True)
class Codebook:
    """Centroids of the inputs of one layer.

    Attributes:
        layer: The layer, by its name in `kfacd.collect`.
        centroids: [C, d_in] in fp32, without the bias's one.
        first: How many positions at the start of each sample have buckets of their own, such as a class token.
    """

    layer: str
    centroids: Tensor
    first: int = 0

    def __post_init__(self) -> None:
        """Refuses what is no codebook.

        Raises:
            OptionError: With the reason.
        """
        if not self.layer:
            raise OptionError("the codebook names no layer.")
        if self.centroids.dim() != 2 or self.centroids.numel() == 0 or not bool(self.centroids.isfinite().all()):
            raise OptionError(
                f"the codebook's centroids are {list(self.centroids.shape)}; expected [C, d_in] of finite numbers."
            )
        if not 0 <= self.first <= FIRST_MAX:
            raise OptionError(f"the codebook's first is {self.first}; expected 0 to {FIRST_MAX} positions.")

    @property
    def count(self) -> int:
        """The number of buckets: one for each centroid, and those of first positions before them."""
        return self.first + self.centroids.shape[0]

    @property
    def digest(self) -> str:
        """The SHA-256 of layer, first positions and centroids, by which files name the codebook."""
        values = self.centroids.contiguous().cpu().numpy().astype("<f4").tobytes()
        head = text_of({"layer": self.layer, "first": self.first, "shape": list(self.centroids.shape)})
        return hashlib.sha256(head.encode() + b"\n" + values).hexdigest()

    def buckets(self, rows: Tensor, keep: Tensor | None) -> Tensor:
        """The bucket of each position, [samples, R]; −1 where a position does not count.

        Args:
            rows: The layer's inputs, [samples, R, d_in].
            keep: Which positions count, [samples, R]; none where all do.

        Raises:
            ShapeError: The inputs have another width than the centroids.
        """
        width = self.centroids.shape[1]
        if rows.shape[-1] != width:
            raise ShapeError(
                f'the codebook has centroids of {width} numbers, and the inputs of layer "{self.layer}" have '
                f"{rows.shape[-1]}. Make a codebook of this model."
            )
        present = rows.new_ones(rows.shape[:2], dtype=torch.bool) if keep is None else keep.bool()
        found = _nearest(rows.reshape(-1, width), self.centroids.to(rows.device)).view(rows.shape[:2]) + self.first
        # Padding may stand before the first position.
        place = present.cumsum(dim=1) - 1
        return torch.where(place < self.first, place, found).masked_fill(~present, -1)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the codebook, for the other owners.

        Returns:
            The file.
        """
        target = Path(path)
        shape = (self.centroids.shape[0], self.centroids.shape[1])
        tensor = StoredTensor("centroids", shape, lambda: self.centroids.cpu().numpy())
        write_tensors(target, [tensor], {"format": FORMAT, "layer": self.layer, "first": str(self.first)})
        return target

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Codebook:
        """Reads what `save` wrote.

        Raises:
            InputError: The file is no codebook.
        """
        file = Path(path)
        metadata, tensors = described_tensors(file, FORMAT, ["centroids"])
        layer, first, centroids = metadata.required("layer"), metadata.required("first"), tensors["centroids"]
        if not first.isdecimal() or len(first) > len(str(FIRST_MAX)) or int(first) > FIRST_MAX:
            raise InputError(f"{file}: first is {first[:60]!r}; expected 0 to {FIRST_MAX} positions.")
        if centroids.dtype != torch.float32 or centroids.ndim != 2 or centroids.numel() == 0:
            raise InputError(
                f"{file}: centroids are {list(centroids.shape)} of {centroids.dtype}; expected [C, d_in] of fp32."
            )
        try:
            return Codebook(layer, centroids, int(first))
        except OptionError as error:
            raise InputError(f"{file}: {error}") from error


def make_codebook(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    layer: str,
    centroids: int = 16,
    first: int = 0,
    seed: int = 0,
    forward: Callable[[Any], Any] | None = None,
    mask: Callable[[Any], Tensor] | None = None,
) -> Codebook:
    """Makes the centroids of a layer's inputs by k-means; a middle layer separates positions by their content.

    Use data that may be shared, because the centroids are: public text or images, or the base's own training data.

    Args:
        model: In evaluation mode.
        batches: Inputs of the model: mappings, which are given as keywords, or single values. Where a mapping's
            `attention_mask` is 0 is padding, which is left out.
        layer: A layer by its name, whose input has the positions of the layers that are collected.
        centroids: Their number C.
        first: How many positions at the start of each sample get buckets of their own, such as 1 for a class token.
        seed: Of the sample of rows and of the first centroids.
        forward: Runs the model on a batch, where keywords or a single value do not fit.
        mask: The mask of a batch, [samples, R], true or 1 where a position counts; by default its `attention_mask`.

    Raises:
        OptionError: There is no such layer, a mask does not fit its rows, or there are too few.
    """
    if model.training:
        raise OptionError("the model is in training mode. Call model.eval() before.")
    if centroids < 1 or first < 0:
        raise OptionError(f"centroids={centroids}, first={first}: expected at least 1, and at least 0.")
    modules = dict(named_modules(model))
    module = modules.get(layer)
    if module is None or layer == "":
        near = difflib.get_close_matches(layer, modules, 1)
        advice = f' Did you mean "{near[0]}"?' if near else " Name a linear layer as kfacd.collect does."
        raise OptionError(f'layer="{layer}": the model has no such module.{advice}')
    rows = _Sample(seed)
    present: Tensor | None = None

    def note(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        if not arguments or not isinstance(arguments[0], Tensor) or not arguments[0].is_floating_point():
            raise OptionError(f'layer="{layer}": its input is no tensor of numbers. Name a linear layer.')
        rows.add(_rows(arguments[0].detach(), present, first, layer))

    handle = module.register_forward_pre_hook(note)
    try:
        with torch.no_grad():
            for batch in batches:
                present = mask(batch) if mask is not None else None
                if mask is None and isinstance(batch, Mapping):
                    present = batch.get("attention_mask")
                if forward is not None:
                    forward(batch)
                elif isinstance(batch, Mapping):
                    model(**batch)
                else:
                    model(batch)
    finally:
        handle.remove()
    found = rows.rows()
    if found is None or found.shape[0] < centroids:
        count = 0 if found is None else found.shape[0]
        raise OptionError(
            f'layer "{layer}" had {count} rows; expected at least {centroids}, the number of centroids. Give more '
            "batches or fewer centroids; name another layer if it is one that does not run as a module, such as a "
            "projection within attention."
        )
    if not bool(found.isfinite().all()):
        raise OptionError(f'the inputs of layer "{layer}" are not finite.')
    return Codebook(layer, _clusters(found, centroids, seed), first)


class Pooled(NamedTuple):
    """Rows pooled by sample and bucket."""

    values: Tensor
    """Σ_{p∈c} row_p / √n_c, [samples, count, d]; zero for an empty bucket."""
    ones: Tensor
    """√n_c, what a column of ones becomes, [samples, count, 1]."""


def pooled(rows: Tensor, samples: Tensor, buckets: Tensor, size: int, count: int) -> Pooled:
    """Pools rows.

    Args:
        rows: [n, d].
        samples: The sample of each row, [n].
        buckets: The bucket of each row, [n]; −1 where a row does not count.
        size: The number of samples.
        count: The number of buckets of a sample.
    """
    absent = buckets < 0
    # One place behind all takes what does not count.
    place = torch.where(absent, size * count, samples * count + buckets)
    sums = rows.new_zeros(size * count + 1, rows.shape[1], dtype=torch.float32)
    # Padding may hold anything, also NaN.
    sums.index_add_(0, place, rows.float().masked_fill(absent.unsqueeze(1), 0))
    roots = torch.bincount(place, minlength=size * count + 1).to(sums).sqrt().unsqueeze(1)
    values = sums / roots.clamp_min(1)
    return Pooled(values[:-1].view(size, count, -1), roots[:-1].view(size, count, 1))


class _Sample:
    """At most `ROWS_MAX` rows of all that were added, each with the same chance."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._rows: Tensor | None = None
        self._chances = torch.empty(0)

    def add(self, rows: Tensor) -> None:
        """Adds rows, [n, d]."""
        own = rows.float().cpu()
        if self._rows is not None:
            own = torch.cat([self._rows, own])
        chances = torch.cat([self._chances, torch.rand(len(own) - len(self._chances), generator=self._generator)])
        if len(own) > ROWS_MAX:
            best = chances.topk(ROWS_MAX).indices.sort().values
            own, chances = own[best], chances[best]
        self._rows, self._chances = own, chances

    def rows(self) -> Tensor | None:
        """The rows, or none."""
        return self._rows


def _rows(value: Tensor, mask: Tensor | None, first: int, layer: str) -> Tensor:
    """The rows that count and have no bucket of their own, [n, d]."""
    if value.dim() < 2:
        raise OptionError(f'layer="{layer}": its input has the shape {list(value.shape)}; expected rows.')
    if value.dim() == 2 and (first or mask is not None):
        raise OptionError(
            f'layer="{layer}": its input has the shape {list(value.shape)}, without a dimension of positions, so '
            "neither first= nor a mask applies. Name a layer whose input is [samples, positions, d_in]."
        )
    rows = value.unsqueeze(0) if value.dim() == 2 else value.flatten(1, -2)
    present = rows.new_ones(rows.shape[:2], dtype=torch.bool)
    if mask is not None:
        if not isinstance(mask, Tensor) or mask.shape != present.shape:
            found = list(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
            raise OptionError(
                f'layer="{layer}": the mask is {found}, and the layer has {list(present.shape)} positions; expected as '
                "many. Give mask=, or name another layer."
            )
        present = mask.to(present)
    return rows[present & (present.cumsum(dim=1) > first)]


def _nearest(rows: Tensor, centroids: Tensor) -> Tensor:
    """The centroid of the smallest distance to each row, the first of equal ones."""
    squares = centroids.square().sum(dim=1)
    step = max(1, CHUNK_ELEMENTS // max(rows.shape[1], len(centroids)))
    parts = [(squares - 2 * part.to(centroids.dtype) @ centroids.T).argmin(dim=1) for part in rows.split(step)]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.long, device=rows.device)


def _clusters(rows: Tensor, count: int, seed: int) -> Tensor:
    """The centroids of k-means in fp64, rounded to fp32; the first ones are drawn by their distances (k-means++)."""
    generator = torch.Generator().manual_seed(seed)
    wide = rows.double()
    centroids = wide[torch.randint(len(wide), (1,), generator=generator)]
    distances = (wide - centroids).square().sum(dim=1)
    while len(centroids) < count:
        chances = distances if float(distances.sum()) > 0 else torch.ones_like(distances)
        chosen = torch.multinomial(chances, 1, generator=generator)
        centroids = torch.cat([centroids, wide[chosen]])
        distances = torch.minimum(distances, (wide - wide[chosen]).square().sum(dim=1))
    assigned: Tensor | None = None
    for _ in range(ROUNDS):
        found = _nearest(wide, centroids)
        if assigned is not None and torch.equal(found, assigned):
            break
        assigned = found
        sizes = torch.bincount(found, minlength=count)
        sums = torch.zeros_like(centroids).index_add_(0, found, wide)
        # A centroid without rows stays.
        centroids = torch.where((sizes > 0).unsqueeze(1), sums / sizes.clamp_min(1).unsqueeze(1), centroids)
    return centroids.float()
