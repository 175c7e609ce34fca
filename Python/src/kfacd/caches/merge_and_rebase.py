"""The cache of ``kfac_ggn`` in apanariello4/merge-and-rebase (345c570): ``curvature.pt`` of a task.

A dictionary of ``aaT``, ``ggT`` and ``ffT``, which are sums as in mammoth's cache; ``num_examples_aaT`` and
``num_examples_ggT``; and ``metadata``, which state the probes, the shapes and the biases. The attention's fused
projection is split into three layers. The file is ``CACHE/LOADER/MODEL/PRETRAINED/TASK/curvature.pt``.

Source: src/merge_and_rebase/finetune/regularizers/kfac_ggn.py there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from kfacd.caches import clip_names
from kfacd.caches.factor_set import FactorSet
from kfacd.caches.pickles import load_weights, tensors_of
from kfacd.problems import InputError, listed

_PREFIX = "visual."
_VERSION = 3
_KEYS = ("aaT", "ggT", "ffT", "num_examples_aaT", "num_examples_ggT")


def read(path: Path, *, task: str, probes: int | None, prefix: str) -> FactorSet:
    """Reads a task's file; see :func:`kfacd.caches.read`."""
    file = _file(path, task)
    content = load_weights(file)
    if not isinstance(content, dict) or any(key not in content for key in _KEYS):
        is_eigen = isinstance(content, dict) and "UA" in content
        hint = " It is of the EKFAC variant, which stores eigenvectors." if is_eigen else ""
        raise InputError(f"{file}: expected a dictionary of {', '.join(_KEYS)}.{hint}")
    metadata: dict[str, Any] = content.get("metadata") or {}
    if (version := metadata.get("version", _VERSION)) != _VERSION:
        raise InputError(f"{file}: it is of version {version}; expected {_VERSION}. Compute it again.")
    samples, gradients = int(content["num_examples_aaT"]), int(content["num_examples_ggT"])
    if samples != gradients or samples < 1:
        raise InputError(
            f"{file}: {samples} samples of inputs and {gradients} of gradients; expected the same number, at least 1."
        )
    stated = int(metadata.get("fisher_num_samples_expectation", 1))
    # 0 is the exact mode: a sum over the outputs, which is not divided.
    probes = max(1, stated) if probes is None else probes
    if probes < 1:
        raise InputError(f"probes is {probes}; expected at least 1.")
    raw = {name: tensors_of(file, content[name]) for name in ("aaT", "ggT", "ffT")}
    blocks: dict[str, Any] = metadata.get("matrix_blocks") or {}
    a: dict[str, torch.Tensor] = {}
    b: dict[str, torch.Tensor] = {}
    bias: dict[str, bool] = {}
    layout: dict[str, str] = {}
    for key, gram in raw["aaT"].items():
        if key not in raw["ggT"]:
            raise InputError(f"{file}: {key} has aaT and no ggT.")
        name = _named(file, key).removesuffix(".weight")
        layer = prefix + clip_names.layer_from_split(name, raw["ggT"][key].shape[0])
        a[layer] = gram.double() / samples
        b[layer] = raw["ggT"][key].double() / (samples * probes)
        if key in blocks:
            bias[layer] = blocks[key].get("bias_key") is not None
        layout[layer] = "in_out" if name == clip_names.PROJECTION else "out_in"
    if lonely := sorted(set(raw["ggT"]) - set(raw["aaT"])):
        raise InputError(f"{file}: {listed(lonely)} has ggT and no aaT.")
    f = {prefix + _named(file, key): gram.double() / (samples * probes) for key, gram in raw["ffT"].items()}
    return FactorSet(task, "tak", samples, a, b, f, bias=bias, layout=layout).checked(str(file))


def _named(file: Path, key: str) -> str:
    if not key.startswith(_PREFIX):
        raise InputError(f"{file}: {key} does not begin with {_PREFIX!r}, as all names of this cache do.")
    return key.removeprefix(_PREFIX)


def _file(path: Path, task: str) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: there is no such file or directory.")
    # As the program makes directory names of its tasks.
    tag = re.sub(r"[^a-zA-Z0-9._-]+", "__", task.strip()).strip("_") or "unknown"
    found = sorted(path.rglob("curvature.pt"))
    named = [file for file in found if file.parent.name == tag] or found
    if len(named) != 1:
        tasks = listed([str(file.parent.relative_to(path)) for file in found]) or "none"
        raise InputError(f"{path}: expected one task {task!r} below it; found {tasks}. Give the task's curvature.pt.")
    return named[0]
