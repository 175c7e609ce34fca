"""The sizes of factors in the README, by the program's own plan of a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import kfacd
from kfacd.calls import Layer
from kfacd.selection import select

README = Path(__file__).parents[2] / "README.md"


def mini_lm() -> Any:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536, num_attention_heads=12))


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2Model

    return GPT2Model(GPT2Config())


def llama() -> Any:
    from transformers import LlamaConfig, LlamaModel

    return LlamaModel(
        LlamaConfig(vocab_size=128256, intermediate_size=14336, num_key_value_heads=8, max_position_embeddings=8192)
    )


def vision_transformer(width: int, depth: int, heads: int, patch: int) -> Any:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(patch_size=patch, embed_dim=width, depth=depth, num_heads=heads, num_classes=0)


MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "MiniLM-L6": (mini_lm, "encoder.*"),
    "ViT-B/16": (lambda: vision_transformer(768, 12, 12, 16), "blocks.*"),
    "GPT-2": (gpt2, "h.*"),
    "ViT-L/14": (lambda: vision_transformer(1024, 24, 16, 14), "blocks.*"),
    "Llama-3-8B": (llama, "layers.*"),
}


def sparse_checkpoint(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """A checkpoint of zeros that takes no space."""
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [end, end + 2 * tensor.numel()]}
        end += 2 * tensor.numel()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


@pytest.mark.parametrize("name", MODELS)
def test_the_plan_has_the_sizes_of_the_readme(name: str, kfacctl: str, tmp_path: Path) -> None:
    make, layers = MODELS[name]
    with torch.device("meta"):
        model = make()
    sparse_checkpoint(tmp_path / "base.safetensors", dict(model.state_dict()))
    blocks = [block for each in select(model, layers, (), ()) for block in each.blocks if isinstance(block, Layer)]
    rows: dict[str, torch.Tensor] = {}
    for block in blocks:
        rows[f"{block.name}.input"] = torch.zeros(1, block.input_size, dtype=torch.bfloat16)
        rows[f"{block.name}.output_grad"] = torch.zeros(1, block.output_size, dtype=torch.bfloat16)
    layout = json.dumps({block.name: block.layout for block in blocks if block.layout is not None})
    metadata = {"format": "kfacd.capture/1", "task": "t", "samples": "1", "probes": "1", "layout": layout}
    save_file(rows, tmp_path / "rows.safetensors", metadata)
    job = {
        "merge_method": "task_arithmetic",
        "base_model": tmp_path / "base.safetensors",
        "models": [{"name": "t", "captures": tmp_path / "rows.safetensors"}],
        "outputs": ["factors"],
        "output": tmp_path / "out",
    }
    (written,) = (stage.output_bytes for stage in kfacd.plan(job).stages if stage.stage == "write files")
    sides = [size for block in blocks for size in (block.input_size + block.has_bias, block.output_size)]
    assert written == 4 * sum(size * size for size in sides)
    lines = README.read_text(encoding="utf-8").splitlines()
    header = next(index for index, line in enumerate(lines) if line.startswith(f"| {next(iter(MODELS))} |"))
    assert dict(zip(cells(lines[header]), cells(lines[header + 2]), strict=True))[name] == decimal(written)


def cells(row: str) -> list[str]:
    """The cells of a row of a table."""
    return [cell.strip() for cell in row.strip("|").split("|")]


def decimal(size: int) -> str:
    """A number of bytes with two or three digits."""
    unit, factor = ("GB", 1e9) if size >= 1e9 else ("MB", 1e6)
    return f"{size / factor:.1f} {unit}" if size < 10 * factor else f"{size / factor:.0f} {unit}"
