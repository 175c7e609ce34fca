"""A small model of every kind of block, and jobs about it for the program itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

TASKS = ("alpha", "beta", "gamma")


class Conv1D(nn.Module):
    """A linear layer that stores [d_in, d_out], as transformers has it."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.randn(nx, nf))
        self.bias = nn.Parameter(torch.randn(nf))


class Zoo(nn.Module):
    """One layer of each kind; it has parameters and no forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(7, 4)
        self.q = nn.Linear(4, 5)
        self.fc = nn.Linear(5, 4, bias=False)
        self.c_attn = Conv1D(4, 4)
        self.conv = nn.Conv2d(2, 3, 2)
        self.fused = nn.Linear(4, 6)
        self.experts = nn.ParameterDict({"gate": nn.Parameter(torch.randn(2, 3, 4))})
        self.norm = nn.LayerNorm(4)
        self.token = nn.Parameter(torch.randn(1, 1, 4))
        self.unlisted = nn.Linear(2, 2)


@dataclass
class Layer:
    """Where a layer's matrix is in a state dictionary."""

    weight: str
    bias: str | None
    d_in: int
    d_out: int
    is_in_out: bool = False
    index: int | None = None
    rows: tuple[int, int] | None = None

    def delta(self, after: dict[str, torch.Tensor], before: dict[str, torch.Tensor]) -> torch.Tensor:
        """[ΔW, Δb] in fp64, [d_out, d_in] or one column more."""
        weight = after[self.weight].double() - before[self.weight].double()
        weight = weight if self.index is None else weight[self.index]
        start, end = self.rows or (0, weight.shape[0])
        weight = weight[start:end].reshape(end - start, -1)
        weight = weight.T if self.is_in_out else weight
        if self.bias is None:
            return weight
        bias = (after[self.bias].double() - before[self.bias].double())[start : None if self.is_in_out else end]
        return torch.cat([weight, bias[:, None]], dim=1)


LAYERS = {
    "wte": Layer("wte.weight", None, 7, 4, is_in_out=True),
    "q": Layer("q.weight", "q.bias", 4, 5),
    "fc": Layer("fc.weight", None, 5, 4),
    "c_attn": Layer("c_attn.weight", "c_attn.bias", 4, 4, is_in_out=True),
    "conv": Layer("conv.weight", "conv.bias", 8, 3),
    "fused[0:2]": Layer("fused.weight", "fused.bias", 4, 2, rows=(0, 2)),
    "fused[2:6]": Layer("fused.weight", "fused.bias", 4, 4, rows=(2, 6)),
    "experts.gate[0]": Layer("experts.gate", None, 4, 3, index=0),
    "experts.gate[1]": Layer("experts.gate", None, 4, 3, index=1),
}
FULL = ("norm.weight", "norm.bias", "token")


def tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def write_job(root: Path, options: list[str]) -> Path:
    """Base, checkpoints and captures of three tasks, and a job that makes regularizers and a report of them."""
    torch.manual_seed(7)
    samples, positions, probes = 6, 2, 2
    base = Zoo()
    save_file(tensors(base), root / "base.safetensors")
    lines = ["merge_method: task_arithmetic", "base_model: base.safetensors", "models:"]
    for number, task in enumerate(TASKS):
        model = Zoo()
        model.load_state_dict({k: v + 0.1 * torch.randn_like(v) for k, v in base.state_dict().items()})
        save_file(tensors(model), root / f"{task}.safetensors")
        capture: dict[str, torch.Tensor] = {}
        rows = samples * positions
        for name, layer in LAYERS.items():
            capture[f"{name}.input"] = (
                torch.randint(layer.d_in, (rows,)) if name == "wte" else torch.randn(rows, layer.d_in) * (number + 1)
            )
            capture[f"{name}.output_grad"] = torch.randn(rows * probes, layer.d_out)
        for name in FULL:
            capture[f"{name}.grad"] = torch.randn(samples * probes, 4)
        metadata = {
            "format": "kfacd.capture/1",
            "task": task,
            "samples": str(samples),
            "probes": str(probes),
            "layout": json.dumps({"c_attn": "in_out"}),
            "diagonal": json.dumps(["wte.A", "fc.B"]),
        }
        save_file(capture, root / f"{task}.capture.safetensors", metadata)
        lines.append(f"  - {{model: {task}.safetensors, name: {task}, captures: {task}.capture.safetensors}}")
    lines += ["kfac:", *(f"  {option}" for option in options)]
    lines += ["outputs: [factors, regularizer, report]", "output: out"]
    job = root / "job.yaml"
    job.write_text("\n".join(lines) + "\n")
    return job


def checkpoint(root: Path, task: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(root / f"{task}.safetensors")


def trained(root: Path, task: str, dtype: torch.dtype = torch.float32) -> Zoo:
    """The task's fine-tuned model."""
    model = Zoo()
    model.load_state_dict(checkpoint(root, task))
    return model.to(dtype)


def report(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "out" / "report.json").read_text())
    return found
