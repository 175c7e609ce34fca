"""Caches of other programs, against the program's own factors of the same rows and the programs themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from cache_files import BLOCK, PROBES, SAMPLES, WIDTH, Rows, write_base, write_kronfluence
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import kfacd
from kfacd.__main__ import main


@pytest.mark.parametrize("program", ["mammoth", "merge-and-rebase"])
def test_a_cache_gives_the_factors_of_its_rows_and_a_job_takes_them(kfacctl: str, tmp_path: Path, program: str) -> None:
    """Task one is captured and imported; task two is imported, and its regularizer must be task one's factors."""
    write_base(tmp_path / "base.safetensors")
    split = program == "merge-and-rebase"
    for number, task in enumerate(("one", "two")):
        rows = Rows(number)
        if split:
            rows.write_merge_and_rebase(tmp_path / "cache/openclip/ViT-B-32/openai" / task / "curvature.pt")
        else:
            rows.write_mammoth(tmp_path / "cache", task, number)
        arguments = ["--task", task, "--output", str(tmp_path / task), "--base", str(tmp_path / "base.safetensors")]
        probes = [] if split else ["--probes", str(PROBES)]
        assert main(["import", program, str(tmp_path / "cache"), *arguments, *probes]) == 0
    metadata = {"format": "kfacd.capture/1", "samples": str(SAMPLES), "probes": str(PROBES)}
    capture = Rows(0).capture(split)
    layers = {name.removesuffix(".input") for name in capture if name.endswith(".input")}
    metadata["layout"] = json.dumps({layer: "in_out" if layer == "visual.proj" else "out_in" for layer in layers})
    save_file(capture, tmp_path / "one.safetensors", metadata)
    (tmp_path / "job.yaml").write_text(
        "merge_method: task_arithmetic\nbase_model: base.safetensors\nmodels:\n"
        "  - {name: one, captures: one.safetensors}\n  - {name: two, factors: two}\n"
        "kfac: {normalization: tak, regularizer: {form: accumulated, targets: [one, two]}}\n"
        "outputs: [factors, regularizer, report]\noutput: out\n"
    )
    out = kfacd.run(tmp_path / "job.yaml", workers=1, progress=False)
    own = load_file(out / "factors/one/factors.safetensors")
    for found in (tmp_path / "one/factors.safetensors", out / "regularizer/two/regularizer.safetensors"):
        tensors = load_file(found)
        assert tensors.keys() == own.keys()
        for name, tensor in own.items():
            torch.testing.assert_close(tensors[name], tensor, rtol=1e-5, atol=1e-6)
    imported = load_file(tmp_path / "two/factors.safetensors")
    for name, tensor in load_file(out / "regularizer/one/regularizer.safetensors").items():
        torch.testing.assert_close(imported[name], tensor, rtol=1e-6, atol=0)


def test_mammoth_reads_what_is_written_and_the_other_way_round(tmp_path: Path) -> None:
    Rows(0).write_mammoth(tmp_path / "cache", "cars", 3)
    factors = kfacd.caches.read("mammoth", tmp_path / "cache", task="cars", task_id=3)
    files = kfacd.caches.write("mammoth", tmp_path / "again", factors, task="cars", task_id=3)
    assert sorted(file.name for file in files) == sorted(os.listdir(tmp_path / "cache"))
    for file in files:
        ours = torch.load(file, weights_only=True)
        theirs = torch.load(tmp_path / "cache" / file.name, weights_only=True)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
        if isinstance(theirs, dict):
            assert ours.keys() == theirs.keys()


def test_a_regularizer_is_one_pseudo_task_whose_penalty_is_the_same(tmp_path: Path) -> None:
    factors = kfacd.caches.FactorSet(
        "x", "tak", 1, a={"visual.mlp.fc": torch.eye(3) * 2}, b={"visual.mlp.fc": torch.eye(2) * 5}, f={}
    )
    metadata = {"format": "kfacd.regularizer/1", "target": "cars", "form": "accumulated", "scale": "paper"}
    save_file(
        {"visual.mlp.fc.A": factors.a["visual.mlp.fc"], "visual.mlp.fc.B": factors.b["visual.mlp.fc"]},
        tmp_path / "regularizer.safetensors",
        metadata | {"normalization": "tak"},
    )
    assert main(["export", "mammoth", str(tmp_path), str(tmp_path / "cache"), "--samples", "12", "--task-id", "4"]) == 0
    # As TAK accumulates a single task: aaT / N · N / N, ggT / N.
    for name, expected in (("aaT", torch.eye(3) * 2), ("ggT", torch.eye(2) * 5)):
        raw = torch.load(tmp_path / f"cache/cars_task_4_{name}.pt", weights_only=True)["mlp.fc.weight"]
        torch.testing.assert_close(raw / 12, expected)
    assert torch.load(tmp_path / "cache/cars_task_4_num_aaT.pt", weights_only=True).tolist() == [12]


def test_split_attention_is_fused_with_zero_between_the_parts(tmp_path: Path) -> None:
    Rows(0).write_merge_and_rebase(tmp_path / "cars/curvature.pt")
    factors = kfacd.caches.read("merge-and-rebase", tmp_path, task="cars")
    kfacd.caches.write("mammoth", tmp_path / "fused", factors)
    found = torch.load(tmp_path / "fused/cars_task_0_ggT.pt", weights_only=True)[BLOCK + "attn.qkv.weight"]
    whole = Rows(0).sums()["ggT"][BLOCK + "attn.qkv.weight"] / PROBES
    mask = torch.kron(torch.eye(3), torch.ones(WIDTH, WIDTH))
    torch.testing.assert_close(found, whole * mask, rtol=1e-5, atol=1e-6)


def test_parts_that_are_not_all_there_or_read_other_rows_are_not_fused(tmp_path: Path) -> None:
    one = torch.eye(2)
    name = "visual.attn.in_proj"
    parts = {f"{name}[0:2]": one, f"{name}[4:6]": one}
    with pytest.raises(kfacd.InputError) as caught:
        kfacd.caches.write("mammoth", tmp_path, kfacd.caches.FactorSet("x", "tak", 1, parts, parts))
    assert str(caught.value) == (f"{name}: only {name}[0:2], {name}[4:6] have factors; expected all its output rows.")
    other = {f"{name}[0:2]": one, f"{name}[2:4]": 2 * one}
    with pytest.raises(kfacd.InputError) as caught:
        kfacd.caches.write("mammoth", tmp_path, kfacd.caches.FactorSet("x", "tak", 1, other, other))
    assert str(caught.value) == f"{name}[2:4]: its A differs from that of {name}[0:2], which reads the same rows."


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 2)
        self.fc = nn.Linear(12, 4)
        self.head = nn.Linear(4, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.head(torch.tanh(self.fc(torch.tanh(self.conv(x)).flatten(1))))
        return hidden


def test_kronfluence_itself_and_an_independent_sum_agree(tmp_path: Path) -> None:
    kronfluence: Any = pytest.importorskip("kronfluence")
    arguments: Any = pytest.importorskip("kronfluence.arguments")

    class Classification(kronfluence.Task):  # type: ignore[misc]
        def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> torch.Tensor:
            return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="sum")

        def compute_measurement(self, batch: Any, model: nn.Module) -> torch.Tensor:
            return self.compute_train_loss(batch, model)

    torch.manual_seed(0)
    model, x, y = Net(), torch.randn(6, 2, 3, 3), torch.randint(5, (6,))
    conv_in = torch.nn.functional.unfold(x, 2).transpose(1, 2).reshape(24, 8)
    layers = {"conv": model.conv, "fc": model.fc, "head": model.head}
    inputs: dict[str, torch.Tensor] = {"conv": conv_in}
    outputs: dict[str, torch.Tensor] = {}

    def watch(name: str) -> Any:
        def hook(module: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            output.retain_grad()
            inputs.setdefault(name, arguments[0])
            outputs[name] = output

        return hook

    for name, layer in layers.items():
        layer.register_forward_hook(watch(name))
    torch.autograd.backward(nn.functional.cross_entropy(model(x), y, reduction="sum"))
    torch.manual_seed(0)
    task = Classification()
    analyzer = kronfluence.Analyzer(
        "test", kronfluence.prepare_model(Net(), task), task, cpu=True, disable_tqdm=True, output_dir=str(tmp_path)
    )
    analyzer.fit_covariance_matrices(
        "own", torch.utils.data.TensorDataset(x, y), per_device_batch_size=3,
        factor_args=arguments.FactorArguments(strategy="kfac", use_empirical_fisher=True),
    )  # fmt: skip
    factors = kfacd.caches.read("kronfluence", tmp_path / "test/factors_own", task="digits")
    assert factors.samples == 6
    assert factors.rows == {"conv": 24, "fc": 6, "head": 6}
    for name, layer in layers.items():
        a, g = inputs[name].detach(), outputs[name].grad
        assert g is not None
        g = g.permute(0, 2, 3, 1).reshape(24, 3) if name == "conv" else g
        a = a if layer.bias is None else torch.cat([a, torch.ones(len(a), 1)], 1)
        torch.testing.assert_close(factors.a[name].float(), a.T @ a / len(a), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(factors.b[name].float(), g.T @ g / len(g), rtol=1e-5, atol=1e-6)
    # The program reads what is written for it, and goes on with its eigenvectors.
    kfacd.caches.write("kronfluence", tmp_path / "test/factors_again", factors)
    again = analyzer.load_covariance_matrices("again")
    own = analyzer.load_covariance_matrices("own")
    for kind in own:
        torch.testing.assert_close(again[kind], own[kind], rtol=1e-5, atol=1e-6)


def test_kronfluence_reads_what_is_written_and_the_other_way_round(tmp_path: Path) -> None:
    write_kronfluence(tmp_path / "factors_x")
    factors = kfacd.caches.read("kronfluence", tmp_path / "factors_x", task="x", samples=4)
    for file in kfacd.caches.write("kronfluence", tmp_path / "again", factors):
        torch.testing.assert_close(load_file(file), load_file(tmp_path / "factors_x" / file.name), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("storage", ["full", "packed"])
def test_a_factor_set_is_loaded_as_it_was_saved(tmp_path: Path, storage: str) -> None:
    a = torch.randn(5, 3)
    factors = kfacd.caches.FactorSet(
        "cars",
        "expand",
        5,
        a={"q": a.T @ a, "wte": torch.rand(7)},
        b={"q": torch.eye(2), "wte": torch.eye(3)},
        f={"norm.weight": torch.eye(4)},
        rows={"q": 10, "wte": 10},
        bias={"q": True, "wte": False},
        layout={"wte": "in_out"},
        sha256_base="0" * 64,
        layer_samples={"q": 5, "wte": 5, "norm.weight": 3},
        uses={"wte": ["head", "wte"]},
        weight=2.5,
    )
    path = factors.save(tmp_path, storage)
    assert os.listdir(tmp_path) == ["factors.safetensors"]
    again = kfacd.caches.load(path)
    for side in ("a", "b", "f"):
        torch.testing.assert_close(getattr(again, side), getattr(factors, side))
    for name in (
        "task",
        "normalization",
        "samples",
        "rows",
        "bias",
        "layout",
        "sha256_base",
        "layer_samples",
        "uses",
        "weight",
    ):
        assert getattr(again, name) == getattr(factors, name)
    with safe_open(path, "pt") as handle:
        assert handle.metadata()["diagonal"] == '["wte.A"]'


def test_expand_becomes_tak_for_other_programs(tmp_path: Path) -> None:
    one, rows = torch.eye(2), {"fc": 20, "expert": 4}
    factors = kfacd.caches.FactorSet(
        "x", "expand", 5, {"fc": one, "expert": one}, {"fc": one, "expert": one}, rows=rows
    )
    factors.layer_samples["expert"] = 3
    kfacd.caches.write("kronfluence", tmp_path, factors)
    # B of expand is divided by N: the sum is N B.
    raw = load_file(tmp_path / "gradient_covariance.safetensors")
    torch.testing.assert_close(raw, {"fc": 5 * one, "expert": 3 * one})
