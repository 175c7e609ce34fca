"""Penalties of the jobs' regularizers, for the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import tensors, trained
from safetensors.torch import save_file
from torch import nn

import kfacd

ACCUMULATED = "regularizer: {form: accumulated, targets: leave_one_out}"


Jobs = Callable[[str], Path]


def file(root: Path, task: str) -> Path:
    return root / "out" / "regularizer" / task / "regularizer.safetensors"


def penalty(root: Path, task: str = "alpha", dtype: torch.dtype = torch.float64, **options: object) -> kfacd.Penalty:
    model = options.pop("model", None) or trained(root, task, dtype)
    base = options.pop("base", root / "base.safetensors")
    return kfacd.Penalty(file(root, task), model, base=base, **options)  # type: ignore[arg-type]


def refusal(path: Path, model: nn.Module, **options: object) -> str:
    with pytest.raises(kfacd.InputError) as caught:
        kfacd.Penalty(path, model, **options)  # type: ignore[arg-type]
    return str(caught.value)


class Adapted(nn.Module):
    """A layer of each kind that LoRA takes, and one that is trained whole."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(7, 4)
        self.fused = nn.Linear(4, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.fused(self.wte(ids)))
        return logits


def adapted_model(tmp_path: Path, **options: object) -> tuple[Any, dict[str, torch.Tensor], Path]:
    """A model with adapters that are not zero, its base, and a regularizer that has the fused layer in two parts."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    plain = Adapted()
    base = tensors(plain)
    config = peft.LoraConfig(r=2, lora_alpha=5, target_modules=["wte", "fused"], modules_to_save=["head"], **options)
    model = peft.get_peft_model(plain, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    contents = {}
    for name, inputs, outputs in (("fused[0:2]", 5, 2), ("fused[2:6]", 5, 4), ("head", 7, 3)):
        for side, size in (("A", inputs), ("B", outputs)):
            rows = torch.randn(9, size)
            contents[f"{name}.{side}"] = rows.T @ rows
    contents |= {"wte.A": torch.rand(7), "wte.B": torch.eye(4) * 2}
    metadata = {"format": "kfacd.regularizer/1", "target": "all", "form": "accumulated", "scale": "paper"}
    save_file(contents, tmp_path / "regularizer.safetensors", metadata | {"diagonal": '["wte.A"]'})
    return model, base, tmp_path
