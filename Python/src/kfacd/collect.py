"""Prepares a collection: which layers of a model, for which task, in which groups."""

from __future__ import annotations

import os
import re
import uuid
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from . import checkpoints
from .calls import Layer
from .cluster import require_reachable
from .codebook import Codebook
from .collection import Collection
from .errors import BaseMismatchError, DropoutWarning, OptionError, SelectionError, listed
from .grouping import grouped
from .job import Coordinator
from .joint_compression import JointRanks
from .partials import require_name
from .patterns import select as choose
from .probes import Fisher, Probes
from .row_accumulation import require_narrow_rows
from .sample_rows import SampleRows
from .selection import Watched, named_modules, select
from .steps import Kind
from .sums import Products

NUMBER_MAX = (1 << 31) - 1
"""Ranks and sequences lie below; source: CLIENT.md, Limits."""


def collect(
    model: nn.Module,
    *,
    task: str,
    layers: str | Sequence[str] = "*",
    parameters: str | Sequence[str] = (),
    diagonal: str | Sequence[str] = (),
    probes: int | Literal["exact"] = 2,
    seed: int = 0,
    fisher: Fisher = "features",
    normalization: Kind = "tak",
    base: str | os.PathLike[str] | None = None,
    memory: int | None = None,
    passes: bool = False,
    products: Products = "float32",
    scale: float | None = None,
    run: str | None = None,
    rank: int = 0,
    sequence: int = 0,
    allow_unused: bool = False,
    sink: Literal["sums", "rows"] = "sums",
    coordinator: Coordinator | str | None = None,
    balance: bool = False,
    joint_rows: tuple[int, int] | None = None,
    scratch: str | os.PathLike[str] | None = None,
    codebook: Codebook | str | os.PathLike[str] | None = None,
    pooled: str | Sequence[str] | None = None,
) -> Collection:
    """Prepares to collect the curvature of a model at θ₀, in a `with` statement.

    Args:
        model: In evaluation mode. Its parameters may be frozen.
        task: The name of the task, which names files.
        layers: Patterns over the names of layers, as in a job file.
        parameters: Patterns over scales and shifts of normalisations, for full blocks.
        diagonal: Patterns over factors of which only the diagonal is summed, such as `*.lm_head.B`.
        probes: M, or `exact` for one backward pass for each output.
        seed: Of the probes.
        fisher: See `Probes`.
        normalization: `tak`, `expand` or `reduce`; source: DESIGN section 2.1.
        base: The checkpoint θ₀ that the model was loaded from, or its `sha256_base`.
        memory: Bytes of the sums on the device.
        passes: Whether several passes over the data are made, where the sums do not fit; see `Collection.passes`.
        products: The precision of products of rows on a device that has it: `float32`, `tf32` or `bfloat16`. Rows are
            streamed as `float32`, or as `bfloat16` in half the bytes.
        scale: A factor of gradients during the backward pass; by default 1024 for an output in float16, else 1.
        run: The name of the run, the same in all ranks.
        rank: This process.
        sequence: The number of files that this rank has written before.
        allow_unused: Whether a layer may have no rows.
        sink: `sums` are kept on the device. With `rows` nothing is kept here: the rows are streamed to workers of a
            running cluster, which sum them as they arrive; see `Collection.commit` and `Collection.attempts`.
        coordinator: Where `commit` sends them: an endpoint, or that with keys. It is reached at once, so that a wrong
            address or key is known before the first step.
        balance: Whether the exact trace of each layer is summed too, which the job's `regularizer: {balance: trace}`
            needs. It takes about as long as the factors.
        joint_rows: How many joint rows of inputs and of gradients `save` writes beside the factors, for
            `accumulate_joint_rows` and jobs. `save_partials` and `commit` write those of a file's samples beside its
            sums, for jobs. They need `normalization="expand"`, and layers that have as many rows of every sample, or a
            codebook; a sample is an index of the first dimension.
        scratch: The directory of a temporary file for the rows of all samples, until joint rows are made of them:
            4 bytes for each input of a layer, and for each output and probe. By default the system's.
        codebook: Pools the positions of joint rows into buckets by content, for samples of different lengths; see
            `make_codebook`. All owners need the same one, or its file.
        pooled: Patterns over the layers whose positions are those of the codebook's layer; by default the layers with
            as many rows as it has in the first step. A model with two sequences, such as one with an encoder and a
            decoder, needs them.

    Raises:
        KfacdError: Something cannot be collected as asked.
    """
    _require_choice("normalization", normalization, ("tak", "expand", "reduce"))
    _require_choice("products", products, ("float32", "tf32", "bfloat16"))
    _require_choice("sink", sink, ("sums", "rows"))
    if not 0 <= rank < NUMBER_MAX or not 0 <= sequence < NUMBER_MAX:
        raise OptionError(f"rank={rank}, sequence={sequence}: expected numbers from 0 to {NUMBER_MAX - 1}.")
    reached = None if coordinator is None else Coordinator.of(coordinator)
    if sink == "rows":
        reached = reached or Coordinator()
        _require_streamable(products, memory, passes)
    if codebook is not None and joint_rows is None:
        raise OptionError("codebook= pools joint rows; add joint_rows=, or leave it out.")
    if pooled is not None and codebook is None:
        raise OptionError("pooled= names layers for a codebook; add codebook=, or leave it out.")
    if joint_rows is not None:
        _require_joint(joint_rows, normalization, products, sink)
        if memory is not None or passes:
            raise OptionError("memory= and passes= make several passes, and joint rows need one; leave them out.")
    if products == "tf32" and all(parameter.is_cpu for parameter in model.parameters()):
        # A CPU has none, and the files state what was computed.
        products = "float32"
    watched = select(model, layers, parameters, diagonal)
    chosen = {name: each for one in watched for block in one.blocks for name, each in block.parameters.items()}
    digest = None if base is None else _base_digest(base, chosen)
    _warn_of_training(model)
    if sink == "rows":
        require_narrow_rows(watched, products)
    book = codebook if codebook is None or isinstance(codebook, Codebook) else Codebook.load(codebook)
    if joint_rows is not None:
        _require_rows(watched, book)
    if reached is not None:
        require_reachable(reached)
    return Collection(
        model,
        watched,
        grouped(watched, memory, passes),
        Probes(fisher, probes, seed),
        task=require_name(task, "task"),
        normalization=normalization,
        products=products,
        scale=scale,
        sha256_base=digest,
        place=(_run_name(run, task), rank, sequence),
        allow_unused=allow_unused,
        coordinator=reached,
        streams_rows=sink == "rows",
        balance=balance,
        sample_rows=None
        if joint_rows is None
        else SampleRows(JointRanks(*joint_rows), scratch, book, _pooled(watched, pooled)),
    )


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionError(f'{name}="{value}" is unknown; expected {listed(choices)}.')


def _require_streamable(products: str, memory: int | None, passes: bool) -> None:
    if products == "tf32":
        raise OptionError('products="tf32": workers sum rows in fp32; expected "float32" or "bfloat16".')
    if memory is not None or passes:
        raise OptionError('memory= and passes= limit sums, and sink="rows" keeps none here; leave them out.')


def _require_joint(ranks: tuple[int, int], normalization: str, products: str, sink: str) -> None:
    if len(ranks) != 2 or any(not isinstance(rank, int) or rank < 1 for rank in ranks):
        raise OptionError(f"joint_rows={ranks}: expected two numbers of at least 1, of inputs and of gradients.")
    if normalization != "expand":
        raise OptionError(
            f'joint_rows= with normalization="{normalization}": expected "expand", as joint rows are not divided by '
            "the number of positions."
        )
    if products != "float32":
        raise OptionError(
            f'joint_rows= with products="{products}": expected "float32", as what joint rows hold is subtracted from '
            "the factors."
        )
    if sink != "sums":
        raise OptionError('joint_rows= with sink="rows": workers sum rows, and know no samples; expected "sums".')


def _require_rows(watched: list[Watched], codebook: Codebook | None) -> None:
    """Refuses layers that joint rows cannot have, and a codebook of none of them.

    Raises:
        SelectionError: They look up indices, or have a diagonal factor.
    """
    layers = dict.fromkeys(block for each in watched for block in each.blocks if isinstance(block, Layer))
    if codebook is not None and codebook.layer not in {layer.name for layer in layers}:
        raise SelectionError(
            f'the codebook is of layer "{codebook.layer}", which is not collected. Add it to layers=, or make a '
            "codebook of a layer that is."
        )
    for layer in layers:
        if layer.takes_indices or layer.input_diagonal or layer.output_diagonal:
            what = "is an embedding" if layer.takes_indices else "has a diagonal factor"
            raise SelectionError(
                f'layer "{layer.name}" {what}, which joint rows do not cover yet. Leave it out with "!{layer.name}".'
            )


def _pooled(watched: list[Watched], patterns: str | Sequence[str] | None) -> set[str] | None:
    """The layers that patterns choose; none without patterns."""
    if patterns is None:
        return None
    names = dict.fromkeys(block.name for each in watched for block in each.blocks if isinstance(block, Layer))
    return set(choose(patterns, names, "pooled"))


def _base_digest(base: str | os.PathLike[str], parameters: Mapping[str, Tensor]) -> str:
    if isinstance(base, str) and re.fullmatch(r"[0-9a-f]{64}", base):
        return base
    if not os.path.exists(base):
        raise BaseMismatchError(f'base="{base}" is neither a checkpoint nor a SHA-256 of 64 hexadecimal digits.')
    checkpoints.require_equal(base, parameters)
    return checkpoints.sha256_base(base)


def _run_name(run: str | None, task: str) -> str:
    if run is not None:
        return require_name(run, "run")
    elastic = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if elastic != "none":
        return require_name(elastic, "run")
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if distributed and torch.distributed.get_world_size() > 1:
        raise OptionError("run= is missing; expected one name for all ranks of this run, such as a job's number.")
    return f"{task}-{uuid.uuid4().hex[:12]}"


def _warn_of_training(model: nn.Module) -> None:
    random = [
        name
        for name, module in named_modules(model)
        if module.training
        and (
            (isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0)
            or (isinstance(module, nn.MultiheadAttention) and module.dropout > 0)
            or isinstance(module, nn.modules.batchnorm._BatchNorm)
        )
    ]
    if random:
        warnings.warn(
            f"the model is in training mode, and {listed(random, 3)} makes its outputs random or dependent on "
            "the batch. Call model.eval() before.",
            DropoutWarning,
            stacklevel=3,
        )
