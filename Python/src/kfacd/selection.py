"""Which layers and parameters of a model are collected, and by which names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from . import normalizations, patterns
from .calls import Adapter, Detach, Layer, Normalization, Recorder
from .errors import SelectionError
from .layers import adapter_for


@dataclass
class Watched:
    """A module with its chosen layers, or a normalisation with its chosen parameters."""

    path: str
    module: nn.Module
    adapter: Adapter | None
    blocks: list[Layer | Normalization]

    def attach(self, recorder: Recorder) -> list[Detach]:
        """Begins to report calls; what is returned ends it."""
        if self.adapter is None:
            (block,) = self.blocks
            assert isinstance(block, Normalization), "a module without an adapter is a normalisation"
            return normalizations.attach(self.path, self.module, block, recorder)
        layers = [block for block in self.blocks if isinstance(block, Layer)]
        return self.adapter.attach(self.path, self.module, layers, recorder)


@dataclass
class _Candidates:
    watched: list[Watched] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Why a name cannot be collected."""


def select(
    model: nn.Module,
    layers: str | Sequence[str],
    parameters: str | Sequence[str],
    diagonal: str | Sequence[str],
) -> list[Watched]:
    """The modules that patterns choose.

    Args:
        model: The model, also within `DistributedDataParallel`, `torch.compile` or PEFT; names are the base's.
        layers: Patterns over layers.
        parameters: Patterns over one-dimensional parameters of normalisations.
        diagonal: Patterns over factors of which only the diagonal is summed, such as `*.lm_head.B`.

    Raises:
        SelectionError: A pattern matches nothing, or a chosen module cannot be watched.
    """
    modules = list(named_modules(model))
    candidates = _linear_candidates(modules)
    names = {layer.name: None for watched in candidates.watched for layer in watched.blocks}
    names.update(dict.fromkeys(candidates.refused))
    _refuse_bare_matrices(modules, layers, names)
    chosen = set(patterns.select(layers, names, "layers") if layers else [])
    refused = [reason for name, reason in candidates.refused.items() if name in chosen]
    watched = _kept(candidates.watched, chosen)
    if parameters:
        blocks, problems = _normalizations(modules, parameters)
        watched += blocks
        refused += problems
    if refused:
        more = f"\n… and {len(refused) - 5} more." if len(refused) > 5 else ""
        raise SelectionError("\n".join(refused[:5]) + more)
    _with_diagonals(watched, diagonal)
    if not watched:
        raise SelectionError("no layer and no parameter is chosen. Name some by layers= or parameters=.")
    return watched


def _linear_candidates(modules: list[tuple[str, nn.Module]]) -> _Candidates:
    candidates = _Candidates()
    embeddings: dict[int, list[Layer]] = {}
    for path, module in modules:
        adapter = adapter_for(module)
        if adapter is None:
            if _holds_matrix_alone(module):
                candidates.refused[path] = (
                    f'layer "{path}" is a {type(module).__name__}, for which there is no adapter. '
                    f'Leave it out with "!{path}", or register an adapter with kfacd.layers.register.'
                )
            continue
        if not path:
            raise SelectionError(
                f"the model itself is a {type(module).__name__}, so its layer has no name. Put it into a module, "
                'such as torch.nn.ModuleDict({"layer": model}).'
            )
        weight = getattr(module, "weight", None)
        is_embedding = isinstance(module, nn.Embedding)
        if is_embedding and id(weight) in embeddings:
            # Modules that look up one table are uses of one layer.
            candidates.watched.append(Watched(path, module, adapter, [*embeddings[id(weight)]]))
            continue
        try:
            found = adapter.layers(path, module)
        except SelectionError as error:
            candidates.refused[path] = str(error)
            continue
        if is_embedding:
            embeddings[id(weight)] = found
        candidates.watched.append(Watched(path, module, adapter, list(found)))
    for watched in candidates.watched:
        # B of a head over the vocabulary, whose weight is an embedding's, is a diagonal; source: DESIGN section 2.1.
        if isinstance(watched.module, nn.Linear) and id(watched.module.weight) in embeddings:
            watched.blocks = [
                dataclasses.replace(layer, output_diagonal=True) for layer in watched.blocks if isinstance(layer, Layer)
            ]
    return candidates


def _refuse_bare_matrices(
    modules: list[tuple[str, nn.Module]], listing: str | Sequence[str], names: Iterable[str]
) -> None:
    """Refuses patterns that mean matrices of modules which hold them beside other modules.

    Patterns that match layers too do not mean them: a job merges such a matrix like a tensor without factors.
    """
    matrices = {
        _joined(path, name): module
        for path, module in modules
        if adapter_for(module) is None
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.dim() >= 2
    }
    every = list(names)
    for pattern in [listing] if isinstance(listing, str) else listing:
        if any(patterns.matches(pattern, name) for name in every):
            continue
        if bare := [name for name in matrices if patterns.matches(pattern, name)]:
            raise SelectionError(
                f'"{bare[0]}" is a parameter of {type(matrices[bare[0]]).__name__} itself; expected the name of a '
                "module that multiplies by a matrix. Leave it out: it is merged like a tensor without factors."
            )


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _kept(watched: list[Watched], chosen: set[str]) -> list[Watched]:
    kept = [
        dataclasses.replace(each, blocks=[layer for layer in each.blocks if layer.name in chosen]) for each in watched
    ]
    return [each for each in kept if each.blocks]


def _normalizations(
    modules: list[tuple[str, nn.Module]], listing: str | Sequence[str]
) -> tuple[list[Watched], list[str]]:
    universe = {
        _joined(path, name): (path, module, name)
        for path, module in modules
        if adapter_for(module) is None
        for name, _ in module.named_parameters(recurse=False)
    }
    watched: dict[str, Watched] = {}
    refused: list[str] = []
    for full_name in patterns.select(listing, universe, "parameters"):
        path, module, name = universe[full_name]
        parameter = dict(module.named_parameters(recurse=False))[name]
        problem = normalizations.problem(module)
        if parameter.dim() != 1:
            problem = f"has the shape {list(parameter.shape)}; only scales and shifts of normalisations are collected"
        if problem is None and name not in ("weight", "bias"):
            problem = "is neither the scale nor the shift of a normalisation"
        if problem is not None:
            refused.append(f'parameter "{full_name}" {problem}. Leave it out with "!{full_name}".')
            continue
        earlier = watched[path].blocks[0] if path in watched else None
        known = earlier if isinstance(earlier, Normalization) else Normalization(path, None, None, parameter.numel())
        known = dataclasses.replace(known, parameters={**known.parameters, full_name: parameter})
        if name == "weight":
            known = dataclasses.replace(known, scale=full_name)
        else:
            known = dataclasses.replace(known, shift=full_name)
        watched[path] = Watched(path, module, None, [known])
    return list(watched.values()), refused


def _with_diagonals(watched: list[Watched], listing: str | Sequence[str]) -> None:
    if not listing:
        return
    layers = {id(layer): layer for each in watched for layer in each.blocks if isinstance(layer, Layer)}
    sides = {f"{layer.name}.{side}" for layer in layers.values() for side in "AB"}
    chosen = set(patterns.select(listing, sorted(sides), "diagonal"))
    replaced = {
        key: dataclasses.replace(
            layer,
            input_diagonal=layer.input_diagonal or f"{layer.name}.A" in chosen,
            output_diagonal=layer.output_diagonal or f"{layer.name}.B" in chosen,
        )
        for key, layer in layers.items()
    }
    for each in watched:
        each.blocks = [replaced.get(id(block), block) for block in each.blocks]


def _holds_matrix_alone(module: nn.Module) -> bool:
    """Whether a module computes with a matrix of its own, and is no container of layers."""
    own = any(parameter.dim() >= 2 for parameter in module.parameters(recurse=False))
    return own and not any(True for child in module.children() for _ in child.parameters())


_TRANSPARENT = {
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "peft.peft_model.PeftModel": "base_model",
    "peft.tuners.tuners_utils.BaseTuner": "model",
    "peft.tuners.tuners_utils.BaseTunerLayer": "base_layer",
}
"""Wrappers, with the child that has the wrapper's own name in the base."""

_REFUSED = {
    "torch.nn.parallel.data_parallel.DataParallel": "run one process for each device instead",
    "torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel": "collect with an unsharded model",
}


def named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, by its name in the base: without wrappers, adapters and modules that others compute for.

    Raises:
        SelectionError: The model is within a wrapper that hooks do not see through.
    """
    yield from _walk("", model, set())


def _walk(name: str, module: nn.Module, seen: set[int]) -> Iterator[tuple[str, nn.Module]]:
    if id(module) in seen:
        return
    seen.add(id(module))
    kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(module).__mro__]
    for kind in kinds:
        if kind in _REFUSED:
            raise SelectionError(f"{type(module).__name__} is not offered; {_REFUSED[kind]}.")
    if "peft.utils.other.ModulesToSaveWrapper" in kinds:
        yield from _walk(name, _active_copy(module), seen)
        return
    use_dora = getattr(module, "use_dora", None)
    if isinstance(use_dora, dict) and any(use_dora.values()):
        raise SelectionError(
            f'layer "{name}" has a DoRA adapter, which scales the layer\'s own output. '
            "Collect before the adapter is added: the adapter leaves θ₀ unchanged."
        )
    for kind in kinds:
        if kind in _TRANSPARENT:
            inner = getattr(module, _TRANSPARENT[kind])
            if isinstance(inner, nn.MultiheadAttention):
                raise SelectionError(
                    f'layer "{name}" is an attention within {type(module).__name__}, which computes it itself. '
                    "Collect before the adapter is added: the adapter leaves θ₀ unchanged."
                )
            yield from _walk(name, inner, seen)
            return
    yield name, module
    if isinstance(module, nn.MultiheadAttention):
        return
    for child_name, child in module.named_children():
        yield from _walk(f"{name}.{child_name}" if name else child_name, child, seen)


def _active_copy(module: Any) -> nn.Module:
    """The module that PEFT runs in place of the original."""
    names = [name for name in module.active_adapters if name in module.modules_to_save]
    copy: nn.Module = module.modules_to_save[names[0]] if names else module.original_module
    return copy
