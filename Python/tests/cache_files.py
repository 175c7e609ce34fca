"""Caches as other programs write them, for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

SAMPLES, POSITIONS, PROBES, WIDTH = 5, 3, 2, 4
BLOCK = "transformer.resblocks.0."
# The layers of a vision tower: mammoth's name, the base's name, d_in, d_out, whether on the sequence, the bias.
LAYERS = [
    (BLOCK + "attn.qkv", BLOCK + "attn.in_proj", WIDTH, 3 * WIDTH, True, True),
    (BLOCK + "attn.proj", BLOCK + "attn.out_proj", WIDTH, WIDTH, True, True),
    (BLOCK + "mlp.c_fc", BLOCK + "mlp.c_fc", WIDTH, 8, True, True),
    ("lin_proj", "proj", WIDTH, WIDTH, False, False),
]
PARAMETERS = [("ln_pre.weight", "ln_pre.weight"), ("cls_token_layer.class_embedding", "class_embedding")]


class Rows:
    """Rows of a task, and the sums that mammoth makes of them."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator)

        self.inputs: dict[str, torch.Tensor] = {}
        self.gradients: dict[str, torch.Tensor] = {}
        for name, _, d_in, d_out, is_sequence, _ in LAYERS:
            positions = POSITIONS if is_sequence else 1
            self.inputs[name] = random(SAMPLES * positions, d_in)
            self.gradients[name] = random(PROBES * SAMPLES * positions, d_out)
        self.parameters = {name: random(PROBES * SAMPLES, WIDTH) for name, _ in PARAMETERS}

    def sums(self) -> dict[str, Any]:
        aat, ggt = {}, {}
        for name, _, _, _, is_sequence, has_bias in LAYERS:
            positions = POSITIONS if is_sequence else 1
            a, g = self.inputs[name], self.gradients[name]
            a = torch.cat([a, torch.ones(len(a), 1)], 1) if has_bias else a
            aat[name + ".weight"] = a.T @ (a / positions)
            ggt[name + ".weight"] = g.T @ (g / positions)
        fft = {name: s.T @ s for name, s in self.parameters.items()}
        return {
            "aaT": aat,
            "ggT": ggt,
            "ffT": fft,
            "num_aaT": torch.tensor([SAMPLES]),
            "num_ggT": torch.tensor([SAMPLES]),
        }

    def write_mammoth(self, directory: Path, dataset: str, number: int) -> None:
        directory.mkdir(exist_ok=True)
        for name, value in self.sums().items():
            torch.save(value, directory / f"{dataset}_task_{number}_{name}.pt")

    def write_merge_and_rebase(self, file: Path) -> None:
        """The same sums with the attention split in three, as that program stores them."""
        sums = self.sums()
        aat, ggt, blocks = {}, {}, {}
        for name, base, *_, has_bias in LAYERS:
            parts = [(f"visual.{base}.weight", slice(None))]
            if base.endswith("in_proj"):
                stem = f"visual.{BLOCK}attn."
                parts = [(f"{stem}{p}_proj.weight", slice(i * WIDTH, i * WIDTH + WIDTH)) for i, p in enumerate("qkv")]
            elif base == "proj":
                parts = [("visual.proj", slice(None))]
            for key, rows in parts:
                aat[key] = sums["aaT"][name + ".weight"]
                ggt[key] = sums["ggT"][name + ".weight"][rows, rows]
                blocks[key] = {"bias_key": key.replace("weight", "bias") if has_bias else None}
        content = {
            "aaT": aat,
            "ggT": ggt,
            "ffT": {f"visual.{base}": sums["ffT"][name] for name, base in PARAMETERS},
            "num_examples_aaT": SAMPLES,
            "num_examples_ggT": SAMPLES,
            "metadata": {"version": 3, "fisher_num_samples_expectation": PROBES, "matrix_blocks": blocks},
        }
        file.parent.mkdir(parents=True)
        torch.save(content, file)

    def capture(self, split: bool) -> dict[str, torch.Tensor]:
        tensors = {}
        for name, base, _, d_out, *_ in LAYERS:
            layers = [(base, slice(0, d_out))]
            if split and base.endswith("in_proj"):
                layers = [(f"{base}[{i}:{i + WIDTH}]", slice(i, i + WIDTH)) for i in range(0, d_out, WIDTH)]
            for layer, rows in layers:
                tensors[f"visual.{layer}.input"] = self.inputs[name].clone()
                tensors[f"visual.{layer}.output_grad"] = self.gradients[name][:, rows].contiguous()
        for name, base in PARAMETERS:
            tensors[f"visual.{base}.grad"] = self.parameters[name]
        return tensors


def write_base(path: Path) -> None:
    tensors = {
        f"visual.{BLOCK}attn.in_proj_weight": torch.randn(3 * WIDTH, WIDTH),
        f"visual.{BLOCK}attn.in_proj_bias": torch.randn(3 * WIDTH),
        f"visual.{BLOCK}attn.out_proj.weight": torch.randn(WIDTH, WIDTH),
        f"visual.{BLOCK}attn.out_proj.bias": torch.randn(WIDTH),
        f"visual.{BLOCK}mlp.c_fc.weight": torch.randn(8, WIDTH),
        f"visual.{BLOCK}mlp.c_fc.bias": torch.randn(8),
        "visual.proj": torch.randn(WIDTH, WIDTH),
        "visual.ln_pre.weight": torch.randn(WIDTH),
        "visual.class_embedding": torch.randn(WIDTH),
    }
    save_file(tensors, path)


def write_kronfluence(directory: Path) -> None:
    directory.mkdir()
    a, b = torch.randn(7, 3), torch.randn(7, 2)
    counts = {"fc": torch.tensor([7])}
    save_file({"fc": a.T @ a}, directory / "activation_covariance.safetensors")
    save_file({"fc": b.T @ b}, directory / "gradient_covariance.safetensors")
    save_file(counts, directory / "num_activation_covariance_processed.safetensors")
    save_file(counts, directory / "num_gradient_covariance_processed.safetensors")
