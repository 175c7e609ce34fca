"""Makes torchvision of PyPI importable beside PyTorch for CPUs."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import torch

_LIBRARIES: list[Any] = []


def declare_missing_operators() -> None:
    """Declares the operators without which `import torchvision` fails.

    PyPI has torchvision for CUDA alone. Beside PyTorch for CPUs its library of operators is not loaded, but rules for
    two of them are registered all the same. timm, open_clip and the trainer of transformers import torchvision too. No
    model here uses these operators.
    """
    with contextlib.suppress(ImportError):
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::nms does not exist" not in str(error):
                raise
            library: Any = torch.library.Library("torchvision", "DEF")
            for name in ("nms", "qnms"):
                library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _LIBRARIES.append(library)
