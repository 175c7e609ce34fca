"""The programs that the benchmarks compare kfacd with, against sums in fp64."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import peers
import pytest
import torch
from safetensors.torch import load_file, save_file

TASKS = {"one": 60, "two": 33, "three": 40}
POSITIONS = 3


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """Captures of three tasks with different numbers of samples, of a layer with a bias and of one without."""
    base = {"with.weight": torch.randn(4, 6), "with.bias": torch.randn(4), "without.weight": torch.randn(5, 4)}
    save_file(base, tmp_path / "base.safetensors")
    directory = tmp_path / "captures"
    directory.mkdir()
    for task, samples in TASKS.items():
        rows = samples * POSITIONS
        tensors = {
            "with.input": torch.randn(rows, 6),
            "with.output_grad": torch.randn(rows, 4),
            "without.input": torch.randn(rows, 4),
            "without.output_grad": torch.randn(rows, 5),
        }
        save_file(tensors, directory / f"{task}.safetensors", {"samples": str(samples)})
    return directory


def expected_factors(capture: Path) -> dict[str, torch.Tensor]:
    """The means of x xᵀ in fp64."""
    rows = {name: tensor.double() for name, tensor in load_file(capture).items()}
    rows["with.input"] = torch.cat([rows["with.input"], torch.ones(len(rows["with.input"]), 1)], 1)
    sides = {"input": "A", "output_grad": "B"}
    return {
        f"{name.partition('.')[0]}.{sides[name.partition('.')[2]]}": torch.einsum("ni,nj->ij", x, x) / len(x)
        for name, x in rows.items()
    }


def assert_file(path: Path, expected: dict[str, torch.Tensor]) -> None:
    found = load_file(path)
    assert found.keys() == expected.keys()
    for name, matrix in expected.items():
        assert found[name].dtype == torch.float32
        assert torch.linalg.norm(found[name] - matrix) < 1e-5 * torch.linalg.norm(matrix), name


def run(monkeypatch: pytest.MonkeyPatch, peer: str, captures: Path, output: Path, *options: str) -> None:
    arguments = ["--peer", peer, "--base", str(captures.parent / "base.safetensors"), "--captures", str(captures)]
    monkeypatch.setattr(sys, "argv", ["peers.py", *arguments, "--output", str(output), *options])
    peers.main()


@pytest.mark.parametrize("peer", peers.PEERS)
def test_every_peer_writes_factors_regularizers_and_inverses(
    peer: str, captures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, peer, captures, tmp_path / "output", "--inverses")
    factors = {task: expected_factors(captures / f"{task}.safetensors") for task in TASKS}
    for task in TASKS:
        assert_file(tmp_path / "output/factors" / task / "factors.safetensors", factors[task])
        others = {other: samples for other, samples in TASKS.items() if other != task}
        sums = {}
        for name in factors[task]:
            weights = {t: n / sum(others.values()) if name.endswith(".A") else 1.0 for t, n in others.items()}
            sums[name] = torch.stack([weights[other] * factors[other][name] for other in others]).sum(0)
        assert_file(tmp_path / "output/regularizer" / task / "regularizer.safetensors", sums)
        inverses = {
            f"{name}_inv": torch.linalg.inv(m + peers.DAMPING * m.diagonal().mean() * torch.eye(len(m)).double())
            for name, m in sums.items()
        }
        assert_file(tmp_path / "output/inverses" / task / "inverses.safetensors", inverses)


def test_a_difference_is_relative_to_the_reference(
    captures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "torch", captures, tmp_path / "reference")
    path = tmp_path / "reference/factors/two/factors.safetensors"
    changed = load_file(path)
    changed["with.B"] *= 2
    save_file(changed, path)
    capsys.readouterr()
    run(monkeypatch, "numpy", captures, tmp_path / "output", "--compare", str(tmp_path / "reference"))
    assert json.loads(capsys.readouterr().out)["largest_difference"] == pytest.approx(0.5, rel=1e-4)


def test_a_directory_without_captures_is_named(
    captures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for capture in captures.iterdir():
        capture.unlink()
    with pytest.raises(SystemExit):
        run(monkeypatch, "numpy", captures, tmp_path / "output")
    assert f"{captures} has no capture" in capsys.readouterr().err
