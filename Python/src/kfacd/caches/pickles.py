"""Reads tensors that ``torch.save`` wrote, without executing what a pickle can hold."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from kfacd.problems import InputError


def load_weights(file: Path) -> Any:
    """The content of a file of ``torch.save``: tensors, numbers, texts, lists and dictionaries of these.

    Raises:
        InputError: There is no such file, it is damaged, or it holds other objects.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{file}: there is no such file.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{file}: torch.load(weights_only=True) does not read it ({first[:200]}); expected tensors in dictionaries."
        ) from error


def tensors_of(file: Path, value: Any) -> dict[str, torch.Tensor]:
    """A dictionary of tensors.

    Raises:
        InputError: The value is another.
    """
    if not isinstance(value, dict) or not all(isinstance(v, torch.Tensor) for v in value.values()):
        raise InputError(f"{file}: expected a dictionary of tensors by name; found {type(value).__name__}.")
    return {str(name): tensor for name, tensor in value.items()}
