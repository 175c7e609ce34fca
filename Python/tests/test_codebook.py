"""Positions pooled into buckets, for joint rows of samples of different lengths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import architectures
import pytest
import torch
from files import stored
from safetensors.torch import save_file
from torch import Tensor, nn

import kfacd

LAYERS = ("fc1", "fc2", "head")


class Tokens(nn.Module):
    """Two layers at every token, with a normalisation, and one of the mean over tokens that count."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.norm = nn.LayerNorm(4)
        self.fc2 = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2, bias=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        rows = torch.tanh(self.fc2(self.norm(torch.tanh(self.fc1(tokens)))))
        share = (mask / mask.sum(dim=1, keepdim=True)).unsqueeze(-1).to(rows)
        logits: Tensor = self.head((rows.nan_to_num() * share).sum(dim=1))
        return logits


Batch = tuple[Tensor, Tensor]


def batch(*lengths: int, scale: float = 1.0, left: bool = False) -> Batch:
    """Tokens of samples of these lengths, padded with what must not count, and their mask."""
    width = max(lengths)
    mask = torch.zeros(len(lengths), width)
    for sample, length in enumerate(lengths):
        mask[sample, width - length if left else 0 :][:length] = 1
    return torch.where(mask.unsqueeze(-1) > 0, torch.randn(len(lengths), width, 3) * scale, torch.tensor(1e3)), mask


def codebook(first: int = 1, count: int = 3) -> kfacd.Codebook:
    return kfacd.Codebook("fc1", torch.randn(count, 3), first)


def collected(
    directory: Path, model: nn.Module, batches: list[Batch], book: kfacd.Codebook | Path | None, **options: object
) -> Path:
    given: dict[str, object] = {"task": "t", "parameters": "norm.*", "probes": "exact", "joint_rows": (100, 100)}
    given |= {"normalization": "expand", "codebook": book, **options}
    with kfacd.collect(model, **given) as collection:  # type: ignore[arg-type]
        for tokens, mask in batches:
            collection.step(model(tokens, mask), mask=mask)
    return collection.save(directory)


def samples_of(batches: list[Batch]) -> Iterator[Tensor]:
    """The tokens of each sample that count, [R, 3]."""
    for tokens, mask in batches:
        for sample, present in zip(tokens, mask, strict=True):
            yield sample[present > 0]


def pooled_rows(
    model: Tokens, batches: list[Batch], book: kfacd.Codebook
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs [N, P, d_in] and gradients [N · outputs, P, d_out] of single samples in fp64, pooled one by one."""
    wide = Tokens()
    wide.load_state_dict(model.state_dict())
    wide = wide.double()
    inputs: dict[str, list[Tensor]] = {name: [] for name in LAYERS}
    gradients: dict[str, list[Tensor]] = {name: [] for name in (*LAYERS, "norm.weight", "norm.bias")}
    for tokens in samples_of(batches):
        calls: dict[str, tuple[Tensor, Tensor]] = {}
        handles = [
            wide.get_submodule(name).register_forward_hook(
                lambda _, given, output, name=name, calls=calls: calls.update({name: (given[0], output)})
            )
            for name in LAYERS
        ]
        output = wide(tokens.double().unsqueeze(0), torch.ones(1, len(tokens)).double())[0]
        for handle in handles:
            handle.remove()
        distances = (tokens.unsqueeze(1) - book.centroids).square().sum(-1)
        buckets = [
            place if place < book.first else book.first + int(distance.argmin())
            for place, distance in enumerate(distances)
        ]

        def pooled(rows: Tensor, buckets: list[int] = buckets) -> Tensor:
            result = torch.zeros(book.count, rows.shape[-1], dtype=torch.float64)
            for row, bucket in zip(rows, buckets, strict=True):
                result[bucket] += row / buckets.count(bucket) ** 0.5
            return result

        for name in LAYERS:
            rows = calls[name][0].detach().reshape(-1, calls[name][0].shape[-1])
            if wide.get_submodule(name).bias is not None:
                rows = torch.cat([rows, torch.ones(len(rows), 1).double()], 1)
            inputs[name].append(rows if name == "head" else pooled(rows))
        for scalar in output:
            for name in LAYERS:
                (gradient,) = torch.autograd.grad(scalar, calls[name][1], retain_graph=True)
                rows = gradient.reshape(-1, gradient.shape[-1])
                gradients[name].append(rows if name == "head" else pooled(rows))
            for name in ("norm.weight", "norm.bias"):
                (gradient,) = torch.autograd.grad(scalar, wide.get_parameter(name), retain_graph=True)
                gradients[name].append(gradient.unsqueeze(0))
    return (
        {name: torch.stack(each) for name, each in inputs.items()},
        {name: torch.stack(each) for name, each in gradients.items()},
    )


def pairs(
    inputs: dict[str, Tensor], gradients: dict[str, Tensor], constant: Tensor, delta: dict[str, Tensor]
) -> Tensor:
    """X of all blocks, [gradients, inputs]."""
    total = torch.zeros(next(iter(gradients.values())).shape[0], len(constant), dtype=torch.float64)
    for name, gradient in gradients.items():
        if name in inputs:
            total += torch.einsum("spo,oi,rpi->sr", gradient.double(), delta[name], inputs[name].double())
        else:
            total += torch.einsum("so,o,r->sr", gradient.double().flatten(1), delta[name], constant.double())
    return total


def deltas() -> dict[str, Tensor]:
    shapes = {"fc1": (4, 4), "fc2": (4, 5), "head": (2, 4), "norm.weight": (4,), "norm.bias": (4,)}
    return {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}


@pytest.mark.parametrize("left", [False, True])
def test_rows_of_a_bucket_are_their_sum_over_the_root_of_their_number(tmp_path: Path, left: bool) -> None:
    model, book = Tokens().eval(), codebook()
    batches = [batch(2, 5, left=left), batch(7, 1, 4, left=left)]
    found, metadata = stored(collected(tmp_path, model, batches, book))
    inputs, gradients = pooled_rows(model, batches, book)
    delta = deltas()
    constant = torch.ones(5)
    expected = pairs(inputs, gradients, constant, delta).square().sum() / 5 / 5
    rows = {name.removesuffix(".input_rows"): value for name, value in found.items() if name.endswith(".input_rows")}
    sides = {
        name.removesuffix(".gradient_rows"): value for name, value in found.items() if name.endswith("gradient_rows")
    }
    assert pairs(rows, sides, found["input_rows"], delta).square().sum().item() == pytest.approx(
        expected.item(), rel=1e-5
    )
    for name in LAYERS:
        means = inputs[name].square().sum(-1).mean(0).float()
        torch.testing.assert_close(found[f"{name}.input_squares"], means, rtol=1e-5, atol=1e-7)
    stated = json.loads(metadata["joint_rows"])["buckets"]
    assert stated == {"codebook": book.digest, "layers": ["fc1", "fc2"]}


def test_a_bucket_for_each_position_changes_nothing(tmp_path: Path) -> None:
    model, batches = Tokens().eval(), [batch(4, 4), batch(4)]
    plain, _ = stored(collected(tmp_path / "plain", model, batches, None))
    book = kfacd.Codebook("fc1", torch.randn(1, 3), 4)
    found, _ = stored(collected(tmp_path / "pooled", model, batches, book))
    for name, value in plain.items():
        other = found[name]
        if name.startswith(("fc1.", "fc2.")) and name.endswith(("rows", "squares")):
            # The bucket of the centroid stays empty.
            other = other[..., :4, :] if name.endswith("rows") else other[:4]
        torch.testing.assert_close(other.abs(), value.abs(), rtol=1e-4, atol=1e-5)


def test_the_complement_of_tasks_of_other_lengths_is_positive_semidefinite(tmp_path: Path) -> None:
    model, book = Tokens().eval(), codebook()
    files = [
        collected(tmp_path / "short", model, [batch(2, 3, 2)], book, task="short"),
        collected(tmp_path / "long", model, [batch(9, 12, scale=3)], book, task="long"),
    ]
    found, metadata = stored(kfacd.accumulate_joint_rows(files, tmp_path / "r.safetensors", ranks=(4, 8)))
    rows = json.loads(metadata["buckets"])["rows"]
    assert rows == {"fc1": 10.5, "fc2": 10.5}
    for name in LAYERS:
        a, b = found[f"{name}.A"].double(), found[f"{name}.B"].double()
        inside = torch.einsum("rpi,rpj->ij", *[found[f"{name}.input_rows"].double()] * 2) / rows.get(name, 1)
        outside = torch.einsum("rpi,rpj->ij", *[found[f"{name}.gradient_rows"].double()] * 2)
        rest = torch.kron(b, a) - torch.kron(outside, inside)
        assert float(torch.linalg.eigvalsh(rest).min()) > -1e-6 * float(torch.linalg.eigvalsh(torch.kron(b, a)).max())


def test_a_penalty_divides_by_the_rows_of_a_sample(tmp_path: Path) -> None:
    model, book = Tokens().eval(), codebook()
    file = collected(tmp_path, model, [batch(2, 5), batch(7, 1, 4)], book)
    found, metadata = stored(kfacd.accumulate_joint_rows([file], tmp_path / "r.safetensors", ranks=(3, 6)))
    start = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    change = {name: (value - start[name]).double() for name, value in model.state_dict().items()}
    delta = {name: change[name] for name in ("norm.weight", "norm.bias")} | {"head": change["head.weight"]}
    delta |= {
        name: torch.cat([change[f"{name}.weight"], change[f"{name}.bias"].unsqueeze(1)], 1) for name in LAYERS[:2]
    }
    rows = {name: found[f"{name}.input_rows"] for name in LAYERS}
    sides = {name: found[f"{name}.gradient_rows"] for name in delta}
    expected = pairs(rows, sides, found["input_rows"], delta).square().sum()
    counts = json.loads(metadata["buckets"])["rows"]
    assert counts == {"fc1": 19 / 5, "fc2": 19 / 5}
    for name in LAYERS:
        a, b = found[f"{name}.A"].double(), found[f"{name}.B"].double()
        inside = torch.einsum("rpi,rpj->ij", *[rows[name].double()] * 2) / counts.get(name, 1)
        outside = torch.einsum("rpi,rpj->ij", *[sides[name].double()] * 2)
        expected += (delta[name] * (b @ delta[name] @ a - outside @ delta[name] @ inside)).sum()
    constant = float(found["input_rows"].double().square().sum())
    for name in ("norm.weight", "norm.bias"):
        rest = found[f"{name}.F"].double() - constant * torch.einsum("ri,rj->ij", *[sides[name].double()] * 2)
        expected += delta[name] @ rest @ delta[name]
    assert kfacd.Penalty(tmp_path / "r.safetensors", model, base=start)().item() == pytest.approx(
        expected.item(), rel=1e-4
    )


@pytest.mark.parametrize("name", ["Llama", "Mixtral"])
def test_language_models_with_padding_have_joint_rows(tmp_path: Path, name: str) -> None:
    case = architectures.llama() if name == "Llama" else architectures.mixtral()
    model = case.model.eval()
    layer = next(each for each, module in model.named_modules() if each.endswith("self_attn.o_proj"))
    batches = [{"input_ids": torch.randint(3, 20, (3, 6)), "attention_mask": torch.ones(3, 6)} for _ in range(2)]
    batches[0]["attention_mask"][1, 4:] = 0
    book = kfacd.make_codebook(model, batches, layer=layer, centroids=4, first=1)
    assert book.count == 5
    with kfacd.collect(
        model,
        task="t",
        layers=["!*.embed_tokens", "!*lm_head"] if name == "Llama" else ["*_proj", "*.experts.*"],
        normalization="expand",
        joint_rows=(4, 8),
        codebook=book,
    ) as collection:
        for each in batches:
            collection.step(model(**each).logits, mask=each["attention_mask"])
    found, _ = stored(collection.save(tmp_path / "t"))
    assert {tuple(value.shape[:2]) for name, value in found.items() if name.endswith("_proj.input_rows")} == {(4, 5)}
    kfacd.accumulate_joint_rows([tmp_path / "t"], tmp_path / "r.safetensors")
    start = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.01)
    assert kfacd.Penalty(tmp_path / "r.safetensors", model, base=start)().item() > 0


def test_a_codebook_finds_the_clusters_of_what_counts(tmp_path: Path) -> None:
    torch.manual_seed(1)
    centers = torch.tensor([[9.0, 0, 0], [0, 9, 0], [0, 0, 9]])
    model = Tokens().eval()
    batches = []
    for _ in range(4):
        tokens = centers[torch.randint(3, (5, 8))] + 0.1 * torch.randn(5, 8, 3)
        tokens[:, 0], tokens[:, -1] = 100, 1e4
        batches.append({"tokens": tokens, "attention_mask": torch.ones(5, 8)})
        batches[-1]["attention_mask"][:, -1] = 0
    book = kfacd.make_codebook(
        model,
        batches,
        layer="fc1",
        centroids=3,
        first=1,
        forward=lambda each: model(each["tokens"], each["attention_mask"]),
    )
    assert (torch.cdist(book.centroids, centers).min(dim=0).values < 0.2).all()
    path = book.save(tmp_path / "codebook.safetensors")
    again = kfacd.Codebook.load(path)
    assert again.digest == book.digest and again.layer == "fc1" and again.first == 1
    assert kfacd.Codebook("fc2", book.centroids, 1).digest != book.digest
    one = stored(collected(tmp_path / "a", model, [batch(3, 4)], path))[0]
    assert one["fc1.input_rows"].shape[1] == 4


def refused(tmp_path: Path, batches: list[Batch], book: kfacd.Codebook | None, **options: object) -> str:
    with pytest.raises(kfacd.KfacdError) as failure:
        collected(tmp_path, Tokens().eval(), batches, book, **options)
    return str(failure.value)


def test_codebooks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    one = [batch(2, 3)]
    assert 'layer "fc9", which is not collected' in refused(tmp_path, one, kfacd.Codebook("fc9", torch.ones(1, 3)))
    assert "centroids of 2 numbers" in refused(tmp_path, one, kfacd.Codebook("fc1", torch.ones(1, 2)))
    assert "codebook= pools joint rows" in refused(tmp_path, one, codebook(), joint_rows=None)
    assert "pool positions with codebook=" in refused(tmp_path, one, None)


def test_a_layer_with_another_mask_is_refused() -> None:
    model, (tokens, mask) = Tokens().eval(), batch(2, 3)
    with (
        pytest.raises(kfacd.ShapeError, match=r"the mask of layer .fc2. is not that of the codebook's layer .fc1."),
        kfacd.collect(
            model, task="t", normalization="expand", joint_rows=(2, 2), codebook=codebook(), layers=["fc1", "fc2"]
        ) as collection,
    ):
        collection.step(model(tokens, mask), mask={"fc1": mask, "fc2": torch.ones_like(mask)})


def test_files_of_two_codebooks_are_not_joined(tmp_path: Path) -> None:
    model, one = Tokens().eval(), [batch(2, 3)]
    files = [
        collected(tmp_path / name, model, one, codebook(), task=name, layers=["fc1", "fc2"]) for name in ("a", "b")
    ]
    files.append(collected(tmp_path / "c", model, [batch(4, 4)], None, task="c", layers=["fc1", "fc2"]))
    with pytest.raises(kfacd.InputError) as failure:
        kfacd.accumulate_joint_rows(files, tmp_path / "r.safetensors")
    assert failure.value.problems[0].endswith("expected one codebook for all owners.")
    assert "not pooled" in str(failure.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "nothing"}, "no such module"),
        ({"layer": "fc1", "centroids": 0}, "centroids=0"),
        ({"layer": "fc1", "centroids": 99}, "expected at least 99"),
    ],
)
def test_codebooks_that_cannot_be_made_are_refused(options: dict[str, object], message: str) -> None:
    model, given = Tokens().eval(), [batch(2, 3)]
    with pytest.raises(kfacd.OptionError, match=message):
        kfacd.make_codebook(model, given, forward=lambda each: model(*each), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", ["missing", "no codebook", "not finite", "wrong first"])
def test_files_that_are_no_codebook_are_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "codebook.safetensors"
    metadata = {"format": "kfacd.codebook/1", "layer": "fc1", "first": "one" if case == "wrong first" else "1"}
    centroids = torch.full((2, 3), torch.nan if case == "not finite" else 1.0)
    if case == "no codebook":
        metadata["format"] = "kfacd.factors/1"
    if case != "missing":
        save_file({"centroids": centroids}, path, metadata=metadata)
    expected = {
        "missing": "no such file",
        "no codebook": "format",
        "not finite": "finite numbers",
        "wrong first": "first",
    }
    with pytest.raises(kfacd.InputError, match=expected[case]):
        kfacd.Codebook.load(path)


def checkpoint(path: Path, model: nn.Module) -> Path:
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return path


@pytest.fixture
def job(kfacctl: str, tmp_path: Path) -> Path:
    """A job of two tasks with pooled positions, short and long samples, beside their factors."""
    base, book = Tokens().eval(), codebook()
    checkpoint(tmp_path / "base.safetensors", base)
    lines = ["merge_method: task_arithmetic", "base_model: base.safetensors", "models:"]
    for task, lengths, scale in (("short", (2, 3, 2), 1.0), ("long", (9, 12, 4), 3.0)):
        collected(tmp_path / "factors" / task, base, [batch(*lengths, scale=scale)], book, task=task)
        checkpoint(tmp_path / f"{task}.safetensors", Tokens())
        lines.append(f"  - {{model: {task}.safetensors, name: {task}, factors: factors/{task}, curvature_weight: 1}}")
    lines += ["kfac:", "  normalization: expand"]
    lines += ["  regularizer: {form: pseudo_rows, ranks: {inputs: 50, gradients: 50}, targets: all}"]
    lines += ["outputs: [factors, regularizer, report]", "output: out"]
    path = tmp_path / "job.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_job_joins_pooled_positions_as_the_package_does(job: Path) -> None:
    kfacd.run(job, workers=1, progress=False)
    root = job.parent
    written = root / "out" / "regularizer" / "all" / "regularizer.safetensors"
    files = [root / "factors" / task for task in ("short", "long")]
    own = kfacd.accumulate_joint_rows(files, root / "own.safetensors", ranks=(50, 50))
    found, expected = stored(written)[1], stored(own)[1]
    assert json.loads(found["buckets"]) == json.loads(expected["buckets"])
    model = Tokens()
    base = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    values = [kfacd.Penalty(path, model, base=base)().item() for path in (written, own)]
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    # What a job writes of a task can be given to the next.
    stated = json.loads(stored(root / "out" / "factors" / "short" / "factors.safetensors")[1]["joint_rows"])
    assert stated["buckets"]["layers"] == ["fc1", "fc2"]
    report = json.loads((root / "out" / "report.json").read_text())
    assert report["pseudo_rows"]["codebook"] == stated["buckets"]["codebook"]


def rewritten(path: Path, **strings: str) -> None:
    tensors, metadata = stored(path)
    save_file(tensors, path, metadata | strings)


def test_a_job_refuses_pooled_positions_that_contradict(job: Path) -> None:
    file = job.parent / "factors" / "long" / "factors.safetensors"
    metadata = stored(file)[1]
    joint = json.loads(metadata["joint_rows"])
    cases = {
        "not pooled": joint | {"buckets": None},
        "the codebook": joint | {"buckets": {"codebook": "0" * 64, "layers": ["fc1", "fc2"]}},
        "alone": joint | {"buckets": joint["buckets"] | {"layers": ["fc1"]}},
        "hold no factors": joint | {"buckets": joint["buckets"] | {"layers": ["fc1", "fc2", "fc9"]}},
        '"buckets" to be': joint | {"buckets": {"layers": ["fc1", "fc2"]}},
    }
    for message, changed in cases.items():
        rewritten(file, joint_rows=json.dumps({key: value for key, value in changed.items() if value is not None}))
        with pytest.raises(kfacd.KfacdError, match=message):
            kfacd.run(job, workers=1, progress=False)
    # Too few rows would make the complement negative, and too many make it too large; the ones of biases tell both.
    right = json.loads(metadata["rows"])
    for layer, rows, message in (
        ("fc1", 3, "as the ones of its bias"),
        ("fc1", right["fc1"] + 3, "as the ones of its bias"),
        ("fc2", 3, "expected at most" if not json.loads(metadata["bias"])["fc2"] else "as the ones of its bias"),
    ):
        rewritten(file, joint_rows=metadata["joint_rows"], rows=json.dumps(right | {layer: rows}))
        with pytest.raises(kfacd.KfacdError, match=message):
            kfacd.run(job, workers=1, progress=False)
        with pytest.raises(kfacd.InputError, match="as the ones of|sum to"):
            kfacd.accumulate_joint_rows([file], job.parent / "refused.safetensors")


def test_experts_that_a_step_does_not_reach_have_rows_of_zero(tmp_path: Path) -> None:
    model = architectures.mixtral().model.eval()
    texts = torch.randint(3, 20, (6, 3))
    layer = next(each for each, _ in model.named_modules() if each.endswith("self_attn.o_proj"))
    book = kfacd.make_codebook(model, [{"input_ids": texts}], layer=layer, centroids=2)
    reached: list[int] = []
    for name, batches in (("steps", texts.split(1)), ("whole", (texts,))):
        with kfacd.collect(
            model,
            task="t",
            layers=["*_proj", "*.experts.*"],
            normalization="expand",
            joint_rows=(99, 99),
            codebook=book,
        ) as collection:
            for each in batches:
                collection.step(model(input_ids=each).logits)
        reached.append(len(stored(collection.save(tmp_path / name))[0]))
        kfacd.accumulate_joint_rows([tmp_path / name], tmp_path / f"{name}.safetensors", ranks=(99, 99))
    assert reached[0] == reached[1]
    start = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    values = [
        kfacd.Penalty(tmp_path / f"{name}.safetensors", model, base=start)().item() for name in ("steps", "whole")
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_one_position_for_each_sample_does_not_tell_what_is_pooled(tmp_path: Path) -> None:
    one, more = batch(1, 1), batch(3, 2)
    assert "Begin with longer samples, or name the layers by pooled=" in refused(tmp_path, [one, more], codebook())
    model, book = Tokens().eval(), codebook()
    found, metadata = stored(collected(tmp_path / "a", model, [one, more], book, pooled=["fc1", "fc2"]))
    assert json.loads(metadata["joint_rows"])["buckets"]["layers"] == ["fc1", "fc2"]
    assert found["head.input_rows"].shape[1] == 1
    assert "add codebook=" in refused(tmp_path, [more], None, pooled="fc1")


def test_a_rank_that_misses_an_expert_gives_rows_of_zero(kfacctl: str, tmp_path: Path) -> None:
    model = architectures.mixtral().model.eval()
    texts = torch.randint(3, 20, (4, 3))
    layer = next(each for each, _ in model.named_modules() if each.endswith("self_attn.o_proj"))
    book = kfacd.make_codebook(model, [{"input_ids": texts}], layer=layer, centroids=2)
    missed = set()
    for rank, text in enumerate(texts.split(1)):
        with kfacd.collect(
            model,
            task="t",
            run="r",
            rank=rank,
            layers=["*_proj", "*.experts.*"],
            normalization="expand",
            joint_rows=(9, 9),
            codebook=book,
        ) as collection:
            collection.step(model(input_ids=text).logits)
        file = collection.save_partials(tmp_path / "partials")
        missed |= {name for name, rows in json.loads(stored(file)[1]["rows"]).items() if rows == 0}
    assert missed
    checkpoint(tmp_path / "base.safetensors", model)
    lines = ["merge_method: task_arithmetic", "base_model: base.safetensors", "models:"]
    lines += ["  - {name: t, factors: 'partials/*.safetensors'}", "outputs: [factors, regularizer]", "output: out"]
    lines += ["kfac: {normalization: expand, regularizer: {form: pseudo_rows, targets: all}}"]
    (tmp_path / "job.yaml").write_text("\n".join(lines) + "\n")
    kfacd.run(tmp_path / "job.yaml", workers=1, progress=False)
    rows = json.loads(stored(tmp_path / "out" / "regularizer" / "all" / "regularizer.safetensors")[1]["buckets"])[
        "rows"
    ]
    assert missed <= rows.keys()


def test_a_regularizer_with_a_negative_complement_is_refused(tmp_path: Path) -> None:
    model, book = Tokens().eval(), codebook()
    file = collected(tmp_path, model, [batch(2, 5)], book)
    path = kfacd.accumulate_joint_rows([file], tmp_path / "r.safetensors")
    buckets = json.loads(stored(path)[1]["buckets"])
    rewritten(path, buckets=json.dumps(buckets | {"rows": {"fc1": 0.01, "fc2": 3.5}}))
    with pytest.raises(kfacd.InputError, match=r"fc1: its joint rows hold .* the complement is negative"):
        kfacd.Penalty(path, model, base=model.state_dict())


def test_masks_that_do_not_fit_make_no_codebook() -> None:
    model, (tokens, mask) = Tokens().eval(), batch(2, 3)

    def made(given: Tensor) -> kfacd.Codebook:
        return kfacd.make_codebook(
            model, [tokens], layer="fc1", centroids=2, forward=lambda each: model(each, mask), mask=lambda _: given
        )

    assert float(made(mask).centroids.abs().max()) < 100
    with pytest.raises(kfacd.OptionError, match=r"the mask is \[2, 2\], and the layer has \[2, 3\] positions"):
        made(mask[:, 1:])
    model.train()
    with pytest.raises(kfacd.OptionError, match="training mode"):
        made(mask)


@pytest.mark.parametrize(
    ("centroids", "first"), [(torch.ones(3), 0), (torch.empty(0, 3), 0), (torch.full((1, 3), torch.nan), 0)]
)
def test_centroids_that_are_none_are_refused(centroids: Tensor, first: int) -> None:
    with pytest.raises(kfacd.OptionError, match="centroids"):
        kfacd.Codebook("fc1", centroids, first)
