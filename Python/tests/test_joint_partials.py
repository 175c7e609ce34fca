"""Joint rows in files of partial sums: those of each file's own samples."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from daemons import Cluster
from files import stored
from joint_regularizers import omega
from safetensors.torch import save_file
from torch import Tensor, nn

import kfacd

DELTAS = {"0": (4, 4), "3": (2, 4), "1.weight": (4,), "1.bias": (4,)}


def model() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2, bias=False)).eval()


def samples(task: str) -> Tensor:
    torch.manual_seed(len(task))
    return torch.randn(12, 5, 3) * len(task)


def collection_of(parts: list[range], task: str, **options: Any) -> kfacd.Collection:
    """One rank that takes the samples of each part in a step."""
    given: dict[str, Any] = {"normalization": "expand", "parameters": "1.*", "joint_rows": (50, 50), "seed": 3}
    base, rows = model(), samples(task)
    with kfacd.collect(base, task=task, run=task, **(given | options)) as collection:
        for numbers in parts:
            collection.step(base(rows[list(numbers)]), samples=list(numbers))
    return collection


def deltas() -> dict[str, Tensor]:
    return {name: torch.randn(shape, dtype=torch.float64) for name, shape in DELTAS.items()}


def test_a_file_has_the_joint_rows_that_factors_of_its_samples_have(tmp_path: Path) -> None:
    parts = [range(5), range(5, 12)]
    base, rows = model(), samples("a")
    with kfacd.collect(
        base, task="a", run="r", normalization="expand", parameters="1.*", joint_rows=(3, 50), seed=3
    ) as collection:
        for numbers in parts:
            collection.step(base(rows[list(numbers)]), samples=list(numbers))
            tensors, metadata = stored(collection.save_partials(tmp_path))
            alone = collection_of([numbers], "a", joint_rows=(3, 50)).save(tmp_path / f"{numbers.start}")
            expected, of_factors = stored(alone)
            assert json.loads(metadata["joint_rows"]) == json.loads(of_factors["joint_rows"])
            joint = {name for name in expected if name.endswith(("_rows", "_squares"))}
            assert joint == {name for name in tensors if name.endswith(("_rows", "_squares"))}
            for name in joint:
                assert torch.equal(tensors[name], expected[name]), name
            # The sums stay in fp64.
            assert tensors["0.A"].dtype == torch.float64
    # No step is left for another file.
    with pytest.raises(kfacd.UnusedLayerError, match="no step was made"):
        collection.save_partials(tmp_path)


def test_a_second_reading_has_the_same_bytes_until_the_next_step(tmp_path: Path) -> None:
    base, rows = model(), samples("a")
    with kfacd.collect(
        base, task="a", normalization="expand", parameters="1.*", joint_rows=(3, 4), scratch=tmp_path
    ) as collection:
        collection.step(base(rows[:6]))
        content = collection._partials()
        assert content.digest() == content.digest() == collection._partials().digest()
        collection.step(base(rows[6:]))
        assert collection._partials().digest() != content.digest()
    assert list(tmp_path.iterdir()) == []


def run_job(kfacctl: str, directory: Path, tasks: dict[str, str], regularizer: dict[str, Any]) -> Path:
    """Runs a job over the factors of tasks, and returns its output."""
    save_file(model().state_dict(), directory / "base.safetensors")
    for name in tasks:
        tuned = {key: value + 0.1 for key, value in model().state_dict().items()}
        save_file(tuned, directory / f"{name}.safetensors")
    job = {
        "merge_method": "kfac",
        "base_model": str(directory / "base.safetensors"),
        "models": [
            {"model": str(directory / f"{name}.safetensors"), "name": name, "factors": factors}
            for name, factors in tasks.items()
        ],
        "kfac": {"normalization": "expand", "regularizer": {"form": "pseudo_rows", **regularizer}},
        "outputs": ["factors", "regularizer"],
        "output": str(directory / "out"),
    }
    (directory / "job.yaml").write_text(json.dumps(job))
    command = [kfacctl, "run", str(directory / "job.yaml"), "--workers", "1", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory / "out"


def test_a_job_makes_of_two_ranks_what_it_makes_of_the_whole(kfacctl: str, tmp_path: Path) -> None:
    tasks = {}
    for task in ("a", "bb"):
        collection_of([range(5), range(5, 12)], task).save(tmp_path / f"whole-{task}")
        for rank, numbers in enumerate([range(5), range(5, 12)]):
            collection_of([numbers], task, rank=rank).save_partials(tmp_path / task)
        tasks[task] = str(tmp_path / task)
    ranks = {"inputs": 50, "gradients": 90}
    out = run_job(kfacctl, tmp_path, tasks, {"targets": "all", "ranks": ranks})
    for task in tasks:
        whole, _ = stored(tmp_path / f"whole-{task}" / "factors.safetensors")
        found, metadata = stored(out / "factors" / task / "factors.safetensors")
        assert json.loads(metadata["joint_rows"])["ranks"] == {"inputs": 12, "gradients": 24}
        delta = deltas()
        assert omega(found, delta, "none").item() == pytest.approx(omega(whole, delta, "none").item(), rel=1e-5)
    found, _ = stored(out / "regularizer" / "all" / "regularizer.safetensors")
    files = [tmp_path / f"whole-{task}" for task in tasks]
    joined, _ = stored(kfacd.accumulate_joint_rows(files, tmp_path / "r.safetensors", ranks=(50, 90)))
    delta = deltas()
    expected = omega(joined, delta, "complement").item()
    assert omega(found, delta, "complement").item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("scale", ["paper", "mean"])
def test_accumulated_joint_rows_are_the_regularizer_of_a_job(kfacctl: str, tmp_path: Path, scale: Any) -> None:
    tasks = {}
    for task, count in {"a": 4, "bb": 7, "ccc": 12}.items():
        tasks[task] = str(collection_of([range(count)], task, joint_rows=(9, 15)).save(tmp_path / f"f-{task}"))
    out = run_job(kfacctl, tmp_path, tasks, {"scale": scale, "ranks": {"inputs": 5, "gradients": 6}})
    for target in tasks:
        made, of_job = stored(out / "regularizer" / target / "regularizer.safetensors")
        others = [file for name, file in tasks.items() if name != target]
        path = tmp_path / "r.safetensors"
        kfacd.accumulate_joint_rows(others, path, target=target, ranks=(5, 6), scale=scale)
        own, metadata = stored(path)
        assert json.loads(metadata["lambda"]) == pytest.approx(json.loads(of_job["lambda"]))
        for side in ("inputs", "gradients"):
            kept = [json.loads(each["kept"])[side] for each in (metadata, of_job)]
            assert kept[0] == pytest.approx(kept[1], abs=1e-5)
        for name in own:
            if not name.endswith("_rows"):
                torch.testing.assert_close(own[name], made[name], rtol=1e-5, atol=1e-7)
        for floor in ("none", "complement"):
            delta = deltas()
            expected = omega(made, delta, floor).item()
            assert omega(own, delta, floor).item() == pytest.approx(expected, rel=1e-4)


def test_commits_have_the_bytes_of_their_files(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start()
    cluster.start_worker("w")
    parts = [range(5), range(5, 12)]
    files = [
        collection_of([numbers], "t", rank=rank, joint_rows=(4, 6)).save_partials(tmp_path / "files")
        for rank, numbers in enumerate(parts)
    ]
    for rank, numbers in enumerate(parts):
        assert collection_of([numbers], "t", rank=rank, joint_rows=(4, 6)).commit(cluster.bind) == "run:t"
    assert cluster.files("t") == {f"{rank}-0": file.read_bytes() for rank, file in enumerate(files)}
