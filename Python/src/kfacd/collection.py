"""The sums of a run: what a `with` statement collects, step by step."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .accumulation import Accumulation
from .attempts import Attempt, attempts
from .calls import Call, Layer, Normalization
from .cluster import open_stream, push
from .cluster.offers import Place, RowSum
from .errors import GraphError, NonFiniteError, OptionError, SelectionError, ShapeError, UnusedLayerError, listed
from .job import Coordinator
from .masks import Mask, Masks
from .partials import (
    SafetensorsFile,
    Stated,
    StatedLayer,
    Summed,
    SummedLayer,
    SummedParameter,
    SummedRows,
    partials_file,
    write,
    write_factors,
)
from .probes import Probes
from .problems import StreamEndedError
from .row_accumulation import RowAccumulation
from .sample_rows import SampleRows
from .selection import Watched
from .steps import Kind
from .sums import Products
from .watching import Tap, visible

if TYPE_CHECKING:
    from .cluster.streams import RowStream


class Collection:
    """The sums of a run of steps; made by `collect`."""

    def __init__(
        self,
        model: nn.Module,
        watched: list[Watched],
        groups: list[list[Watched]],
        probes: Probes,
        *,
        task: str,
        normalization: Kind,
        products: Products,
        scale: float | None,
        sha256_base: str | None,
        place: tuple[str, int, int],
        allow_unused: bool,
        coordinator: Coordinator | None,
        streams_rows: bool,
        balance: bool,
        sample_rows: SampleRows | None,
    ) -> None:
        """For `collect` only."""
        self._model, self._watched, self._groups, self._probes = model, watched, groups, probes
        self._task, self._normalization, self._products = task, normalization, products
        self._scale, self._sha256_base, self._allow_unused = scale, sha256_base, allow_unused
        self._run, self._rank, self._sequence = place
        self._coordinator, self._streams_rows, self._balance = coordinator, streams_rows, balance
        self._sample_rows = sample_rows
        self._first_sequence = self._sequence
        self._resources = ExitStack()
        self._token = torch.zeros((), requires_grad=True)
        self._calls: list[Call] = []
        self._arrived: set[int] = set()
        self._without_graph: set[str] = set()
        self._is_backward = False
        self._gradient_scale = 1.0
        self._accumulation: Accumulation | RowAccumulation | None = None
        self._finished: tuple[list[SummedLayer], list[SummedParameter]] = ([], [])
        self._steps = 0
        self._samples = 0
        self._numbered = 0
        self._first = (0, 0)
        """The steps and the numbered samples before this sequence."""
        self._pass_samples: int | None = None
        self._passes_remain = len(groups) > 1
        self._failure: str | None = None

    # A run

    @property
    def layers(self) -> list[str]:
        """The names of the chosen layers and parameters."""
        return list(dict.fromkeys(name for each in self._watched for block in each.blocks for name in block.names))

    def __enter__(self) -> Collection:
        """Begins to watch the model."""
        if len(self._groups) == 1:
            self._begin_group(self._groups[0])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the model as it was; the sums stay."""
        self._end_watching()
        if error is not None:
            self._fail("the run ended by an error")

    def passes(self) -> Iterator[int]:
        """One pass over the data for each group of layers that fits `memory`; step in every one of them.

        Raises:
            OptionError: The passes had different numbers of samples.
        """
        for index, group in enumerate(self._groups):
            if len(self._groups) > 1:
                self._begin_group(group)
            yield index
            if len(self._groups) > 1:
                self._end_group()
        self._passes_remain = False

    def attempts(self) -> Iterator[Attempt]:
        """Makes the steps of a sequence again when their stream of rows is lost.

        A stream is lost with a worker, with the coordinator and with the connection, and leaves nothing. So each
        attempt has all steps of the sequence, and ends with `commit`:

            for attempt in collection.attempts():
                with attempt:
                    for x in batches:
                        collection.step(model(x))
                    collection.commit()

        A sequence that the coordinator has already costs the forward passes alone. Cut long runs into several
        sequences, each with a loop of its own. Sums are not lost, and need one attempt.

        Raises:
            StreamEndedError: The last of 20 attempts ended too.
        """
        return attempts()

    def step(
        self,
        output: Tensor,
        mask: Mask | None = None,
        samples: Tensor | Sequence[int] | None = None,
        labels: Tensor | None = None,
    ) -> None:
        """Adds the curvature of the last forward pass.

        Gradients are those of a sum over the batch, never of a mean. Parameters' `.grad` is not touched.

        Args:
            output: f(x), [samples, …], of the model's own graph: features or logits.
            mask: True where a position is no padding, [samples, positions]; or such masks by pattern over modules, the
                last that matches counts. It drops rows of layers with so many positions, and outputs of padding.
            samples: A number for each sample, which chooses its probes; by default they are counted. Number the samples
                of a data set, and every number of ranks has the same sums.
            labels: For `fisher="labels"`.

        Raises:
            StreamEndedError: The stream of rows was lost; the sequence is to be made again, see `attempts`.
            KfacdError: The step cannot be added; the sums are then unusable.
        """
        accumulation = self._opened()
        try:
            self._step(accumulation, output, mask, samples, labels)
        except StreamEndedError:
            self._repeat_sequence()
            raise
        except Exception as error:
            self._fail(f"step {self._steps} failed ({error})")
            raise
        finally:
            self._is_backward = False
            accumulation.end()
            for call in self._calls:
                # The graph may live on in the caller's variables, and must not keep the rows.
                call.input = call.input.new_empty(0)
            self._calls.clear()
            self._arrived.clear()
            self._without_graph.clear()

    def _step(
        self,
        accumulation: Accumulation | RowAccumulation,
        output: Tensor,
        mask: Mask | None,
        samples: Tensor | Sequence[int] | None,
        labels: Tensor | None,
    ) -> None:
        size = batch_size(output)
        if not output.requires_grad or not self._calls:
            raise self._graph_error()
        masks = Masks(mask, size, output.device)
        keys = self._sample_keys(size, samples)
        accumulation.begin(size, masks.of_call, self._calls)
        if not accumulation.is_whole:
            self._differentiate(accumulation, output, masks, keys, labels)
        self._steps += 1
        self._samples += size
        self._numbered += size

    def _differentiate(
        self,
        accumulation: Accumulation | RowAccumulation,
        output: Tensor,
        masks: Masks,
        keys: list[str],
        labels: Tensor | None,
    ) -> None:
        self._gradient_scale = self._scale or (1024.0 if output.dtype == torch.float16 else 1.0)
        self._is_backward = True
        has_inputs = False
        for (root, start), has_next in self._probes.roots(output, keys, masks.of_output(), labels):
            if not root.requires_grad:
                raise self._graph_error()
            start = start.to(root.dtype) * self._gradient_scale
            self._backward(root, start, has_next)
            accumulation.end_probe()
            if not has_inputs:
                used = [call for call in self._calls if id(call) in self._arrived]
                self._require_used(used)
                self._require_unchanged(used)
                with torch.no_grad():
                    accumulation.add_inputs(used)
                has_inputs = True
        if wrong := accumulation.not_finite():
            raise NonFiniteError(
                f"step {self._steps}: {listed(wrong)} is not finite, or too large to be squared in fp32. "
                f"{_of_output(output)}Look at this batch; with float16, set scale= lower or use bfloat16."
            )

    def _backward(self, root: Tensor, start: Tensor, retain: bool) -> None:
        try:
            torch.autograd.grad(root, [self._token], start, retain_graph=retain, allow_unused=True)
        except RuntimeError as error:
            if "use_reentrant=True" in str(error):
                raise GraphError(
                    "activation checkpointing with use_reentrant=True hides layers from hooks. "
                    "Use use_reentrant=False, or switch checkpointing off."
                ) from error
            raise

    # The recorder of adapters

    def begin(self, call: Call) -> Tensor | None:
        """Notes a call before it runs."""
        if self._accumulation is None:
            return None
        if not torch.is_grad_enabled():
            self._without_graph.add(call.layer.name)
            return None
        call.version, call.is_repeated = call.input._version, self._is_backward
        if not call.is_repeated:
            self._calls.append(call)
        if not call.input.is_floating_point():
            return call.input
        tapped: Tensor = Tap.apply(call.input, self._token, False)
        return tapped

    def end(self, call: Call, output: Tensor) -> Tensor:
        """Notes a call's output."""
        if not isinstance(output, Tensor):
            raise SelectionError(
                f'layer "{call.path}" returns a {type(output).__name__}; expected a tensor. '
                f'Leave it out with "!{call.layer.name}".'
            )
        if not call.input.is_floating_point():
            output = Tap.apply(output, self._token, True)
        if output.requires_grad and not call.is_repeated:
            output.register_hook(partial(self._gradient_arrived, call))
        return output

    def _gradient_arrived(self, call: Call, gradient: Tensor) -> None:
        if not self._is_backward or self._accumulation is None:
            # A backward pass of the program.
            return
        if call.input.numel() == 0 and gradient.numel() > 0:
            raise GraphError(
                f'layer "{call.path}": the output is of an earlier forward pass. Call step after each forward pass.'
            )
        self._arrived.add(id(call))
        with torch.no_grad():
            if self._gradient_scale != 1:
                gradient = gradient.float() / self._gradient_scale
            self._accumulation.add_gradient(call, gradient)

    # Files

    def save(self, path: str | os.PathLike[str], *, packed: bool = False) -> Path:
        """Writes the factors of the task, `kfacd.factors/1`, and its joint rows if they were asked for.

        Args:
            path: A directory, for `factors.safetensors` in it, or a file that ends with `.safetensors`.
            packed: Whether to write triangles, which are half as large.

        Returns:
            The file.

        Raises:
            OptionError: Other ranks or files hold a part of the sums.
            UnusedLayerError: No row reached a layer.
        """
        if self._rank or self._sequence:
            raise OptionError(
                f"rank={self._rank}, sequence={self._sequence}: factors need the sums of all ranks and files. "
                "Use save_partials in every rank; kfacd adds them."
            )
        summed = self._summed()
        missing = [layer.name for layer in summed.layers if layer.rows == 0]
        if missing and not self._allow_unused:
            raise UnusedLayerError(
                f"no row reached {listed(missing)}. Collect more samples, leave them out, or set allow_unused=True, "
                "and missing_curvature: renormalize in the job."
            )
        file = Path(path)
        if file.suffix != ".safetensors":
            file = file / "factors.safetensors"
        write_factors(file, summed, packed, self._summed_rows(summed, ()))
        return file

    def _summed_rows(self, summed: Summed, resting: Sequence[StatedLayer]) -> SummedRows | None:
        if self._sample_rows is None:
            return None
        names = [layer.name for layer in summed.layers if layer.rows > 0]
        names += [parameter.name for parameter in summed.parameters]
        return self._sample_rows.summed(names, summed.samples, summed.probes, resting)

    def save_partials(self, directory: str | os.PathLike[str]) -> Path:
        """Writes this rank's sums, `kfacd.partials/1`, with the joint rows of their samples, and begins new ones.

        Args:
            directory: May be the same for all ranks.

        Returns:
            The file, `RUN-RANK-SEQUENCE.safetensors`.
        """
        self._require_one_group("save_partials")
        file = Path(directory) / f"{self._run}-{self._rank}-{self._sequence}.safetensors"
        write(file, self._partials())
        self._begin_sequence()
        return file

    def commit(self, coordinator: Coordinator | str | None = None) -> str:
        """Sends this rank's sums to a coordinator, where they are durable afterwards, and begins new ones.

        Of sums, the bytes are those of the file of `save_partials`. They are sent once for a run, rank and sequence,
        however often they are committed, and go on where a lost connection or a coordinator that was killed left off.
        If they cannot be sent, they stay, for another `commit` or `save_partials`. Of streamed rows, this is the end.

        Args:
            coordinator: Its endpoint, or that with the keys; by default the one of `collect`.

        Returns:
            What the job file names: `factors: run:NAME`, the same for all ranks and sequences.

        Raises:
            UnreachableError: No coordinator answered, for a minute at first and ten minutes later, or as long as the
                coordinator's `timeout` says.
            BusyError: It had no place for as long.
            NotPermittedError: It does not know the key, or the key lacks the role `submitter`.
            InputError: Other bytes stand there, or keys are missing; in the coordinator's words.
            RefusedError: It has no room, in its words.
            WireVersionError: It is of another version.
            StreamEndedError: The stream of rows was lost; the sequence is to be made again, see `attempts`.
            MissingExtraError: The extra `kfacd[cluster]` is not installed.
        """
        self._require_one_group("commit")
        if self._streams_rows:
            self._commit_rows(coordinator)
        else:
            reached = self._coordinator if coordinator is None else Coordinator.of(coordinator)
            push(reached or Coordinator(), self._place(), self._partials())
        self._begin_sequence()
        return f"run:{self._run}"

    def _commit_rows(self, coordinator: Coordinator | str | None) -> None:
        if coordinator is not None and Coordinator.of(coordinator) != self._coordinator:
            raise OptionError("the rows went to the coordinator of collect; expected commit() without another one.")
        self._require_savable()
        assert isinstance(self._accumulation, RowAccumulation), "collect asked for it"
        try:
            self._accumulation.commit(self._samples)
        except StreamEndedError:
            self._repeat_sequence()
            raise
        except Exception as error:
            self._fail(f"the commit failed ({error})")
            raise

    def _partials(self) -> SafetensorsFile:
        summed = self._summed()
        resting = [layer for layer in summed.layers if layer.rows == 0]
        return partials_file(summed, self._run, self._rank, self._sequence, self._summed_rows(summed, resting))

    def _place(self) -> Place:
        return Place(self._run, self._rank, self._sequence)

    def _require_one_group(self, call: str) -> None:
        if len(self._groups) > 1:
            raise OptionError(f"{call} cannot begin new sums after several passes; use save, or more memory.")

    def _require_savable(self) -> None:
        if self._failure is not None:
            raise GraphError(f"nothing is saved, because {self._failure}. Collect again.")
        if self._passes_remain:
            raise GraphError("nothing is saved, because passes remain. Finish the loop over passes() first.")
        if self._samples == 0:
            raise UnusedLayerError("nothing is saved, because no step was made. Call step after each forward pass.")

    # Sequences

    def _begin_sequence(self) -> None:
        self._sequence += 1
        self._first = (self._steps, self._numbered)
        self._empty()

    def _repeat_sequence(self) -> None:
        """Begins the same sequence again: with the same numbers its samples have the same probes."""
        self._steps, self._numbered = self._first
        self._empty()

    def _empty(self) -> None:
        self._samples = 0
        if self._accumulation is not None:
            self._accumulation = self._accumulation.emptied()

    def _fail(self, reason: str) -> None:
        self._failure = reason
        if isinstance(self._accumulation, RowAccumulation):
            self._accumulation.close()

    def _open_stream(self, layers: Sequence[StatedLayer], sums: Sequence[RowSum]) -> RowStream:
        stated = Stated(
            task=self._task,
            samples=0,
            probes=self._probes.divisor,
            normalization=self._normalization,
            sha256_base=self._sha256_base,
            products=self._products,
            layers=layers,
        )
        assert self._coordinator is not None, "collect names it"
        return open_stream(self._coordinator, self._place(), stated.first_strings(), sums)

    def _summed(self) -> Summed:
        if self._streams_rows:
            raise OptionError('the sums are with the workers, because of sink="rows"; use commit.')
        self._require_savable()
        layers, parameters = self._finished
        if len(self._groups) == 1 and isinstance(self._accumulation, Accumulation):
            layers, parameters = self._accumulation.results()
        return Summed(
            task=self._task,
            samples=self._samples,
            probes=self._probes.divisor,
            normalization=self._normalization,
            sha256_base=self._sha256_base,
            products=self._products,
            layers=layers,
            parameters=parameters,
        )

    # Groups of layers

    def _begin_group(self, group: list[Watched]) -> None:
        blocks = list(dict.fromkeys(block for watched in group for block in watched.blocks))
        self._accumulation = self._begun(blocks)
        self._steps = self._samples = self._numbered = 0
        self._resources.enter_context(visible(self._model))
        for watched in group:
            for detach in watched.attach(self):
                self._resources.callback(detach)

    def _begun(self, blocks: list[Layer | Normalization]) -> Accumulation | RowAccumulation:
        if self._streams_rows:
            return RowAccumulation(
                blocks, self._normalization, self._products, self._open_stream, balance=self._balance
            )
        return Accumulation(blocks, self._normalization, self._products, self._balance, self._sample_rows)

    def _end_watching(self) -> None:
        self._resources.close()
        self._resources = ExitStack()
        self._calls.clear()

    def _end_group(self) -> None:
        self._end_watching()
        if self._accumulation is None:
            return
        if self._pass_samples not in (None, self._samples):
            raise OptionError(
                f"a pass had {self._samples} samples, and an earlier one {self._pass_samples}; expected the same data."
            )
        self._pass_samples = self._samples
        assert isinstance(self._accumulation, Accumulation), "streamed rows have one group"
        layers, parameters = self._accumulation.host_results()
        self._finished[0].extend(layers)
        self._finished[1].extend(parameters)
        self._accumulation = None

    def _opened(self) -> Accumulation | RowAccumulation:
        if self._accumulation is None:
            raise GraphError(
                "step needs an open collection: call it within the with statement"
                + (", and within a pass of passes()." if len(self._groups) > 1 else ".")
            )
        if self._failure is not None:
            raise GraphError(f"no step can be added, because {self._failure}. Collect again.")
        return self._accumulation

    # Checks

    def _sample_keys(self, size: int, samples: Tensor | Sequence[int] | None) -> list[str]:
        if samples is None:
            prefix = f"{self._rank}:{self._first_sequence}:" if self._rank or self._first_sequence else ""
            return [f"{prefix}{self._numbered + index}" for index in range(size)]
        numbers = samples.tolist() if isinstance(samples, Tensor) else list(samples)
        if len(numbers) != size:
            raise ShapeError(f"samples has {len(numbers)} numbers, but the output has {size} samples.")
        return [str(int(number)) for number in numbers]

    def _graph_error(self) -> GraphError:
        if self._without_graph:
            return GraphError(
                f"{listed(sorted(self._without_graph), 3)} ran without a graph. Run the model without torch.no_grad "
                "and torch.inference_mode, and activation checkpointing with use_reentrant=False."
            )
        if not self._calls:
            return GraphError(
                "no chosen layer ran since the last step. Run the model within the with statement, then call step once."
            )
        return GraphError("the output has no graph. Give step the model's own output, not a detached copy.")

    @staticmethod
    def _require_unchanged(used: list[Call]) -> None:
        if changed := {call.layer.name: None for call in used if call.input._version != call.version}:
            raise GraphError(
                f"the input of {listed(changed)} was changed in place after the layer had read it. Set "
                "inplace=False in the module that follows, or leave the layer out."
            )

    def _require_used(self, used: list[Call]) -> None:
        if not used:
            raise GraphError(
                "the output depends on no chosen layer of the last forward pass. Give step the model's own output."
            )
        if self._steps or self._allow_unused:
            return
        ran = {call.layer.name for call in self._calls}
        reached = {call.layer.name for call in used}
        accumulation = self._opened()
        idle = [layer for layer in accumulation.expected() if not _is_covered(layer.name, reached)]
        if never := [layer.name for layer in idle if not _is_covered(layer.name, ran)]:
            raise UnusedLayerError(
                f"{listed(never)} never ran. Leave it out of layers=, or set allow_unused=True if later steps reach it."
            )
        if idle:
            raise UnusedLayerError(
                f"the output does not depend on {listed(layer.name for layer in idle)}. Give step an output that does, "
                "leave the layer out of layers=, or set allow_unused=True if later steps reach it."
            )


def batch_size(output: object) -> int:
    """The samples of an output.

    Raises:
        ShapeError: It is no tensor with a dimension of samples.
    """
    if not isinstance(output, Tensor):
        raise ShapeError(
            f"output is a {type(output).__name__}; expected a tensor [samples, …]. Give its tensor, such as "
            "model(**batch).logits."
        )
    if output.dim() == 0 or output.shape[0] == 0:
        raise ShapeError(
            f"output has the shape {list(output.shape)}; expected [samples, …], such as logits, and no loss."
        )
    return output.shape[0]


def _of_output(output: Tensor) -> str:
    """The samples of the batch whose outputs are not finite, as a sentence; nothing if all are."""
    wrong = (~output.detach().isfinite()).flatten(1).any(dim=1).nonzero().flatten().tolist()
    if not wrong:
        return ""
    more = f" and of {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"The output of sample {wrong[0]} of the batch{more} is not finite. "


def _is_covered(name: str, reached: set[str]) -> bool:
    return name in reached or any(other.startswith(f"{name}[") for other in reached)
