"""Checkpoints of several files, as transformers writes models of more than 5 GB."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from architectures import gpt2

import kfacd


def test_a_sharded_base_is_collected_merged_and_penalized(kfacctl: str, tmp_path: Path) -> None:
    from transformers import GPT2LMHeadModel

    case = gpt2()
    base: GPT2LMHeadModel = case.model.eval()
    base.save_pretrained(tmp_path / "base", max_shard_size="4KB")
    assert len(list((tmp_path / "base").glob("*.safetensors"))) > 1
    inputs, mask = case.batch(case.samples)
    entries = []
    for number, task in enumerate(("a", "b")):
        with kfacd.collect(base, task=task, base=tmp_path / "base", seed=number, **case.options) as collection:
            collection.step(case.forward(base, inputs), mask=mask)
        collection.save(tmp_path / "factors" / task)
        model = copy.deepcopy(base)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
        model.save_pretrained(tmp_path / task, max_shard_size="3KB")
        entries.append({"model": tmp_path / task, "factors": tmp_path / "factors" / task})
    job = {"merge_method": "kfac", "base_model": tmp_path / "base", "models": entries}
    outputs = ["merged", "regularizer"]
    out = kfacd.run({**job, "outputs": outputs}, output=tmp_path / "out", workers=1, progress=False)
    merged = GPT2LMHeadModel.from_pretrained(out / "merged").eval()
    assert torch.isfinite(case.forward(merged, inputs)).all()
    assert not torch.equal(merged.lm_head.weight, base.lm_head.weight)
    penalty = kfacd.Penalty(out / "regularizer" / "a", merged, base=tmp_path / "base")
    assert penalty().item() > 0
