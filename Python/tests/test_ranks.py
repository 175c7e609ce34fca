"""Partial sums of ranks, and what is the same however a run is divided."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from architectures import bert, residual_network, vision_transformer
from files import errors, stored
from reference import Case
from torch import Tensor

import kfacd
from kfacd.partials import square


def collected(case: Case, parts: list[list[int]], directory: Path, **options: object) -> Path:
    """One rank that takes the samples of each part in a step of its own."""
    case.model.eval()
    settings = {"layers": "*", **case.options, "task": "t", "run": "r", "seed": 3, **options}
    with kfacd.collect(case.model, **settings) as collection:  # type: ignore[arg-type]
        for numbers in parts:
            inputs, mask = case.batch([case.samples[number] for number in numbers])
            collection.step(case.forward(case.model, inputs), mask=mask, samples=numbers)
    return collection.save_partials(directory)


def added(paths: list[Path]) -> dict[str, Tensor]:
    sums: dict[str, Tensor] = {}
    for path in paths:
        for name, value in stored(path)[0].items():
            sums[name] = sums.get(name, torch.zeros(())) + value
    return sums


@pytest.mark.parametrize("normalization", ["tak", "reduce"])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_partial_sums_of_any_number_of_ranks_are_the_same(ranks: int, normalization: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    case = bert()
    # Under `reduce` keys have no curvature, so their sums are rounding.
    case.options = {"layers": [*case.options["layers"], "!*.key"]}
    one = collected(case, [[0, 1, 2, 3]], tmp_path / "one", normalization=normalization)
    files = [
        collected(
            case,
            [[number] for number in range(rank, 4, ranks)],
            tmp_path / str(ranks),
            rank=rank,
            normalization=normalization,
        )
        for rank in range(ranks)
    ]
    assert [file.name for file in files] == [f"r-{rank}-0.safetensors" for rank in range(ranks)]
    sums, expected = added(files), added([one])
    assert sums.keys() == expected.keys()
    for name, value in expected.items():
        assert value.dtype == torch.float64
        torch.testing.assert_close(sums[name], value, rtol=2e-5, atol=2e-6 * float(value.abs().max()))


def test_a_rank_begins_its_sums_anew_after_each_file(tmp_path: Path) -> None:
    case = vision_transformer()
    whole = collected(case, [[0, 1], [2, 3, 4]], tmp_path / "whole")
    with kfacd.collect(case.model, task="t", run="r", seed=3, layers="*", **case.options) as collection:
        files = []
        for numbers in ([0, 1], [2, 3, 4]):
            inputs, _ = case.batch([case.samples[number] for number in numbers])
            collection.step(case.forward(case.model, inputs), samples=numbers)
            files.append(collection.save_partials(tmp_path / "parts"))
        with pytest.raises(kfacd.OptionError, match="save_partials in every rank"):
            collection.save(tmp_path)
    sums = added(files)
    for name, value in stored(whole)[0].items():
        torch.testing.assert_close(sums[name], value, rtol=1e-5, atol=1e-6)
    assert [stored(file)[1]["sequence"] for file in files] == ["0", "1"]
    assert [stored(file)[1]["samples"] for file in files] == ["2", "3"]


def test_factors_are_the_divided_sums(tmp_path: Path) -> None:
    case = residual_network()
    inputs, _ = case.batch(case.samples)
    case.model.eval()
    with kfacd.collect(case.model, task="t", run="r", probes=3) as collection:
        collection.step(case.forward(case.model, inputs))
        full, packed = collection.save(tmp_path / "full"), collection.save(tmp_path / "packed", packed=True)
        sums, metadata = stored(collection.save_partials(tmp_path))
    assert metadata["samples"] == "5"
    rows = {"stem.A": 80, "stem.B": 80 * 3, "head.A": 5, "head.B": 5 * 3}
    whole, halves = stored(full)[0], stored(packed)[0]
    for name, divisor in rows.items():
        size = whole[name].shape[0]
        expected = torch.from_numpy(square((sums[name] / divisor).numpy(), size))
        torch.testing.assert_close(whole[name], expected.float(), rtol=0, atol=0)
        assert torch.equal(halves[name], whole[name][torch.ones(size, size, dtype=torch.bool).tril()])


def test_several_passes_have_the_sums_of_one(tmp_path: Path) -> None:
    case = vision_transformer()
    case.model.eval()

    def run(**options: object) -> tuple[dict[str, Tensor], dict[str, str], int]:
        count = 0
        settings = {**case.options, **options}
        with kfacd.collect(case.model, task="t", run="r", **settings) as collection:
            for _ in collection.passes():
                count += 1
                for part in (case.samples[:2], case.samples[2:]):
                    inputs, _ = case.batch(part)
                    collection.step(case.forward(case.model, inputs))
        return *stored(collection.save(tmp_path / str(count))), count

    one, metadata, count = run()
    several, others, passes = run(memory=30_000, passes=True)
    assert (count, passes > 1) == (1, True)
    assert errors(several, {name: value.double() for name, value in one.items()}, {}) == {}
    assert others["samples"] == metadata["samples"]
    with pytest.raises(kfacd.MemoryLimitError, match=r"need \d+ bytes, which is \d+ passes"):
        kfacd.collect(case.model, task="t", memory=30_000)
    with pytest.raises(kfacd.MemoryLimitError, match='"patches", .* alone need up to'):
        kfacd.collect(case.model, task="t", memory=2_000, passes=True)


def test_passes_that_were_left_are_not_saved(tmp_path: Path) -> None:
    case = vision_transformer()
    inputs, _ = case.batch(case.samples)
    with kfacd.collect(case.model.eval(), task="t", memory=30_000, passes=True) as collection:
        with pytest.raises(kfacd.GraphError, match="within a pass of passes"):
            collection.step(case.forward(case.model, inputs))
        for _ in collection.passes():
            collection.step(case.forward(case.model, inputs))
            break
    with pytest.raises(kfacd.GraphError, match="nothing is saved, because passes remain"):
        collection.save(tmp_path)


def test_probes_belong_to_samples_and_not_to_batches_or_other_generators(tmp_path: Path) -> None:
    case = vision_transformer()
    first = collected(case, [[0, 1, 2, 3, 4]], tmp_path / "a")
    torch.manual_seed(99)
    second = collected(case, [[4, 2], [0, 3], [1]], tmp_path / "b")
    sums = stored(second)[0]
    for name, value in stored(first)[0].items():
        torch.testing.assert_close(sums[name], value, rtol=1e-5, atol=1e-6)
