"""Factors that other programs computed, and factors for them.

A cache is read into a :class:`FactorSet` and saved as ``kfacd.factors/1``, or the other way round::

    factors = kfacd.caches.read("mammoth", "fisher_cache", task="cars", task_id=0)
    factors.save("factors/cars")
    kfacd.caches.write("mammoth", "fisher_cache", kfacd.caches.load("factors/cars"), task="cars", task_id=0)

Files are read by ``torch.load(weights_only=True)`` and safetensors only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from kfacd.caches import kronfluence, mammoth, merge_and_rebase
from kfacd.caches.factor_set import FactorSet, load
from kfacd.problems import InputError

__all__ = ["FactorSet", "load", "read", "write"]


def read(
    program: Literal["mammoth", "merge-and-rebase", "kronfluence"],
    path: str | Path,
    *,
    task: str,
    task_id: int | None = None,
    probes: int | None = None,
    samples: int | None = None,
    prefix: str = "visual.",
    bias: Mapping[str, bool] | None = None,
) -> FactorSet:
    """Reads the factors of one task from another program's cache.

    All three programs normalize as ``tak``: A and B are divided by the rows.

    Args:
        program: Whose cache it is. ``mammoth``: TAK's ``fisher_cache``. ``merge-and-rebase``: its ``kfac_ggn``.
            ``kronfluence``: the covariance matrices of ``factors_NAME``.
        path: The cache's directory; for ``merge-and-rebase`` also ``curvature.pt`` itself.
        task: The task's name in kfacd. For ``mammoth`` it is also the data set in the files' names, and for
            ``merge-and-rebase`` the directory, unless there is only one.
        task_id: ``mammoth``: the number in the files' names. May be left out if there is one.
        probes: M, by which B and F are divided. ``mammoth`` does not store it; 1 is its default. ``merge-and-rebase``
            stores it. 1 for its exact mode (0 samples), which is a sum over the outputs.
        samples: ``kronfluence``: N, if the cache does not state the size of its data set.
        prefix: ``mammoth`` and ``merge-and-rebase``: what precedes the names of CLIP's vision tower in the base.
        bias: ``kronfluence``: whether a layer has a bias, by layer. A job finds it in the base if it is not given.

    Raises:
        InputError: All problems that were found, each with the file and the tensor.
    """
    path = Path(path)
    if program == "mammoth":
        return mammoth.read(path, task=task, task_id=task_id, probes=probes or 1, prefix=prefix)
    if program == "merge-and-rebase":
        return merge_and_rebase.read(path, task=task, probes=probes, prefix=prefix)
    if program == "kronfluence":
        return kronfluence.read(path, task=task, samples=samples, bias=bias or {})
    raise InputError(f"{program!r} is no known program; expected mammoth, merge-and-rebase or kronfluence.")


def write(
    program: Literal["mammoth", "kronfluence"],
    path: str | Path,
    factors: FactorSet,
    *,
    task: str | None = None,
    task_id: int = 0,
    prefix: str = "visual.",
) -> list[Path]:
    """Writes factors as another program's cache, and returns the files.

    The accumulated regularizer of many tasks, read by :func:`load`, is written as one pseudo-task. For ``mammoth`` its
    number must then be below the number of tasks, and not that of the task in training.

    Args:
        program: Whose cache it is to be.
        path: The directory; it is made if it is not there.
        factors: The factors.
        task: ``mammoth``: the data set in the files' names; the factors' task if not given.
        task_id: ``mammoth``: the number in the files' names.
        prefix: As in :func:`read`; it is taken off the names.

    Raises:
        InputError: The program has no place for some of the factors.
    """
    path = Path(path)
    if program == "mammoth":
        return mammoth.write(path, factors, task=task or factors.task, task_id=task_id, prefix=prefix)
    if program == "kronfluence":
        return kronfluence.write(path, factors)
    raise InputError(f"{program!r} is no program to write for; expected mammoth or kronfluence.")
