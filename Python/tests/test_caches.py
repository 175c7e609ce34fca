"""Caches of other programs, against the program's own factors of the same rows and the programs themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import kfacd
from kfacd.__main__ import main

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
    with pytest.raises(kfacd.BadInput) as caught:
        kfacd.caches.write("mammoth", tmp_path, kfacd.caches.FactorSet("x", "tak", 1, parts, parts))
    assert str(caught.value) == (f"{name}: only {name}[0:2], {name}[4:6] have factors; expected all its output rows.")
    other = {f"{name}[0:2]": one, f"{name}[2:4]": 2 * one}
    with pytest.raises(kfacd.BadInput) as caught:
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


def write_kronfluence(directory: Path) -> None:
    directory.mkdir()
    a, b = torch.randn(7, 3), torch.randn(7, 2)
    counts = {"fc": torch.tensor([7])}
    save_file({"fc": a.T @ a}, directory / "activation_covariance.safetensors")
    save_file({"fc": b.T @ b}, directory / "gradient_covariance.safetensors")
    save_file(counts, directory / "num_activation_covariance_processed.safetensors")
    save_file(counts, directory / "num_gradient_covariance_processed.safetensors")


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


# Bad input


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(kfacd.BadInput) as caught:
        kfacd.caches.read(*arguments, **options)
    return str(caught.value)


def test_a_cache_of_mammoth_with_other_counts_or_without_a_file_is_refused(tmp_path: Path) -> None:
    Rows(0).write_mammoth(tmp_path, "cars", 0)
    torch.save(torch.tensor([4]), tmp_path / "cars_task_0_num_ggT.pt")
    assert refusal("mammoth", tmp_path, task="cars") == (
        f"{tmp_path}/cars_task_0_num_ggT.pt: 4 samples; expected 5, as in num_aaT."
    )
    (tmp_path / "cars_task_0_num_ggT.pt").unlink()
    assert refusal("mammoth", tmp_path, task="cars") == f"{tmp_path}/cars_task_0_num_ggT.pt: there is no such file."


def test_several_tasks_of_mammoth_are_listed(tmp_path: Path) -> None:
    for number in range(2):
        Rows(0).write_mammoth(tmp_path, "seq-8vision", number)
    assert refusal("mammoth", tmp_path, task="cars") == (
        f"{tmp_path}: 2 tasks; expected one. Give task (the data set) and task_id. The cache has "
        "seq-8vision_task_0, seq-8vision_task_1."
    )
    assert kfacd.caches.read("mammoth", tmp_path, task="cars", task_id=1).task == "cars"
    assert refusal("mammoth", tmp_path / "absent", task="x") == f"{tmp_path / 'absent'}: there is no such directory."


def test_values_that_are_not_finite_are_named(tmp_path: Path) -> None:
    Rows(0).write_mammoth(tmp_path, "cars", 0)
    file = tmp_path / "cars_task_0_ggT.pt"
    content = torch.load(file, weights_only=True)
    content["lin_proj.weight"][2, 1] = float("nan")
    torch.save(content, file)
    assert refusal("mammoth", tmp_path, task="cars") == (
        f"{tmp_path}/cars_task_0: visual.proj.B is not finite, first at [2, 1]."
    )


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("/nonexistent/kfacd",))


def test_objects_in_a_pickle_are_not_made(tmp_path: Path) -> None:
    Rows(0).write_mammoth(tmp_path, "cars", 0)
    torch.save({"x": Payload()}, tmp_path / "cars_task_0_aaT.pt")
    assert refusal("mammoth", tmp_path, task="cars").startswith(
        f"{tmp_path}/cars_task_0_aaT.pt: torch.load(weights_only=True) does not read it"
    )


def test_the_eigenvectors_of_merge_and_rebase_are_refused(tmp_path: Path) -> None:
    torch.save({"UA": {}, "UG": {}, "D": {}}, tmp_path / "curvature.pt")
    assert refusal("merge-and-rebase", tmp_path / "curvature.pt", task="x") == (
        f"{tmp_path / 'curvature.pt'}: expected a dictionary of aaT, ggT, ffT, num_examples_aaT, num_examples_ggT. It "
        "is of the EKFAC variant, which stores eigenvectors."
    )


def test_kronfluence_without_a_number_of_samples_or_with_partitions_is_refused(tmp_path: Path) -> None:
    write_kronfluence(tmp_path / "x")
    assert refusal("kronfluence", tmp_path / "x", task="x") == (
        f"{tmp_path / 'x'}: the number of samples is not stated; expected covariance_dataset_metadata.json and "
        "factor_arguments.json. Give samples."
    )
    (tmp_path / "x/gradient_covariance.safetensors").rename(
        tmp_path / "x/gradient_covariance_data_partition0_module_partition0.safetensors"
    )
    assert refusal("kronfluence", tmp_path / "x", task="x", samples=1) == (
        f"{tmp_path / 'x'}/gradient_covariance.safetensors: there is no such file; expected kronfluence's directory "
        "factors_NAME. It holds partitions; let kronfluence aggregate them."
    )


def test_what_a_program_has_no_place_for_is_refused(tmp_path: Path) -> None:
    wide = kfacd.caches.FactorSet(
        "x",
        "tak",
        1,
        {"wte": torch.ones(3)},
        {"wte": torch.eye(2)},
        {"norm.weight": torch.eye(2)},
        layout={"wte": "in_out"},
    )
    with pytest.raises(kfacd.BadInput) as caught:
        kfacd.caches.write("kronfluence", tmp_path, wide)
    assert caught.value.problems == [
        "norm.weight: kronfluence has no factors of parameters outside layers.",
        "wte: only a diagonal is known, and kronfluence has whole matrices.",
        "wte: its weight is stored as [d_in, d_out]; kronfluence has Linear and Conv2d alone.",
    ]
    with pytest.raises(kfacd.BadInput) as caught:
        kfacd.caches.write("mammoth", tmp_path, wide)
    assert "wte: its name does not begin with 'visual.'; give the prefix of the vision tower's names." in str(
        caught.value
    )
    reduced = kfacd.caches.FactorSet("x", "reduce", 1, {"fc": torch.eye(2)}, {"fc": torch.eye(2)})
    with pytest.raises(kfacd.BadInput, match="The factors of x are normalized as reduce"):
        kfacd.caches.write("kronfluence", tmp_path, reduced)


def test_the_command_prints_a_sentence_and_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["import", "mammoth", str(tmp_path / "none"), "--task", "x", "--output", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'none'}: there is no such directory.\n"
