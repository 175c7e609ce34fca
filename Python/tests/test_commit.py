"""Partial sums into a running cluster: the bytes of files, once, whatever is lost meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from daemons import Cluster, factors_of
from files import stored
from safetensors.torch import load, save_file
from torch import Tensor, nn

import kfacd
from kfacd.cluster.pushes import chunked
from kfacd.partials import SafetensorsFile, square

SIZE = 256


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(SIZE, 512), nn.Tanh(), nn.Linear(512, 7)).eval()


def batches() -> list[Tensor]:
    torch.manual_seed(4)
    return list(torch.randn(8, 3, SIZE))


def save_base(directory: Path) -> Path:
    path = directory / "base.safetensors"
    save_file(network().state_dict(), path)
    return path


def collected(rank: int = 0, ranks: int = 1, **options: Any) -> kfacd.Collection:
    """One rank's share of the batches; every sample has its number."""
    with kfacd.collect(network(), task="t", run="r", rank=rank, seed=5, **options) as collection:
        for number, x in list(enumerate(batches()))[rank::ranks]:
            collection.step(collection._model(x), samples=range(3 * number, 3 * number + 3))
    return collection


def on_byte(monkeypatch: pytest.MonkeyPatch, byte: int, act: Callable[[], None]) -> list[int]:
    """Acts once, when the bytes behind a number are asked for; returns where each reading began."""
    parts, starts = SafetensorsFile.parts, []

    def disturbed(self: SafetensorsFile, first: int = 0) -> Iterator[memoryview]:
        starts.append(first)
        at = first
        for chunk in chunked(parts(self, first), 1 << 16):
            # The first reading is that of the digest.
            if len(starts) == 2 and at <= byte < at + len(chunk):
                act()
            yield chunk
            at += len(chunk)

    monkeypatch.setattr(SafetensorsFile, "parts", disturbed)
    return starts


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_commits_of_any_number_of_ranks_have_the_bytes_of_their_files(
    cluster: Cluster, ranks: int, tmp_path: Path
) -> None:
    cluster.start()
    cluster.start_worker("w")
    files = [collected(rank, ranks).save_partials(tmp_path / "files") for rank in range(ranks)]
    # Ranks end in any order.
    names = {collected(rank, ranks).commit(cluster.bind) for rank in reversed(range(ranks))}
    assert names == {"run:r"}
    assert cluster.files("r") == {f"{rank}-0": file.read_bytes() for rank, file in enumerate(files)}
    base = save_base(tmp_path)
    by_files = factors_of(cluster, base, str(tmp_path / "files"), tmp_path / "by-files")
    pushed = factors_of(cluster, base, "run:r", tmp_path / "pushed")
    assert load(by_files).keys() == load(pushed).keys()
    for name, value in load(pushed).items():
        assert torch.equal(value, load(by_files)[name])
        # The order of a sum is that of the ranks, in fp64.
        total = np.zeros(1)
        for file in files:
            total = total + stored(file)[0][name].numpy()
        divisor = 24 * (1 if name.endswith("A") else 2)
        expected = torch.from_numpy(square(total / divisor, value.shape[0])).float()
        assert torch.equal(value, expected)


def test_a_rank_commits_from_flush_to_flush_and_twice_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start()

    def run(commit: bool) -> list[Path]:
        model, paths = network(), []
        with kfacd.collect(model, task="t", run="r", seed=5, coordinator=cluster.bind) as collection:
            for x in batches()[:2]:
                collection.step(model(x))
                if commit:
                    assert collection.commit() == "run:r"
                else:
                    paths.append(collection.save_partials(tmp_path))
        return paths

    expected = {f"0-{sequence}": path.read_bytes() for sequence, path in enumerate(run(False))}
    for _ in range(2):
        run(True)
        assert cluster.files("r") == expected


def test_a_coordinator_that_is_killed_in_the_middle_goes_on_where_it_was(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.start()
    expected = collected().save_partials(tmp_path).read_bytes()

    def restart() -> None:
        cluster.kill()
        cluster.start()

    starts = on_byte(monkeypatch, 1_200_000, restart)
    collected().commit(cluster.bind)
    assert cluster.files("r") == {"0-0": expected}
    # For the digest, from the beginning, and from what had arrived.
    assert starts[:2] == [0, 0] and len(starts) == 3


RANK = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_commit, pytest
if sys.argv[3] == "dies":
    test_commit.on_byte(pytest.MonkeyPatch(), 1_200_000, lambda: os.kill(os.getpid(), signal.SIGKILL))
test_commit.collected().commit(sys.argv[2])
"""


def test_a_rank_that_is_killed_repeats_its_sequence(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start()
    expected = collected().save_partials(tmp_path).read_bytes()
    command = [sys.executable, "-c", RANK, str(Path(__file__).parent), cluster.bind]
    assert subprocess.run([*command, "dies"], timeout=120, check=False).returncode == -signal.SIGKILL
    assert cluster.files("r") == {}
    subprocess.run([*command, "lives"], timeout=120, check=True)
    assert cluster.files("r") == {"0-0": expected}


def test_sums_that_could_not_be_sent_stay(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start()
    expected = collected().save_partials(tmp_path / "expected").read_bytes()
    collection = collected()
    cluster.kill()
    with pytest.raises(kfacd.UnreachableError, match=r'rank 0, sequence 0 of run "r": no coordinator answered at tcp'):
        collection.commit(kfacd.Coordinator(cluster.bind, timeout=1))
    cluster.start()
    collection.commit(cluster.bind)
    assert cluster.files("r") == {"0-0": expected}
    collection = collected()
    cluster.kill()
    with pytest.raises(kfacd.UnreachableError):
        collection.commit(kfacd.Coordinator(cluster.bind, timeout=1))
    assert collection.save_partials(tmp_path).read_bytes() == expected


def test_a_coordinator_that_stays_away_in_the_middle_is_unreachable(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.start()
    on_byte(monkeypatch, 1_200_000, cluster.kill)
    with pytest.raises(kfacd.UnreachableError, match=r"within \d+ s\. Check the address"):
        collected().commit(kfacd.Coordinator(cluster.bind, timeout=2))


def test_a_guarded_coordinator_takes_pushes_with_the_key_of_a_submitter(cluster: Cluster, tmp_path: Path) -> None:
    cluster.make_keys(boss=["submitter"], ci=["reader"], stranger=[])
    cluster.start_guarded()
    expected = collected().save_partials(tmp_path).read_bytes()
    collected(coordinator=cluster.holder("boss")).commit()
    assert cluster.files("r") == {"0-0": expected}
    with pytest.raises(kfacd.NotPermittedError, match="pushing needs submitter"):
        collected(coordinator=cluster.holder("ci")).commit()
    with pytest.raises(kfacd.NotPermittedError, match="does not know this key. Put its public file"):
        collected().commit(cluster.holder("stranger"))
    with pytest.raises(kfacd.NotPermittedError, match="ends every connection before the first message"):
        collected().commit(cluster.bind)
    other = kfacd.Coordinator(cluster.bind, cluster.root / "ci.public", cluster.root / "boss.secret", timeout=20)
    with pytest.raises(kfacd.NotPermittedError, match="Check that server_key is its public key"):
        collected().commit(other)


def test_every_call_takes_keys_and_says_which_are_wrong(cluster: Cluster, tmp_path: Path) -> None:
    cluster.make_keys(boss=["submitter"], ci=["reader"], stranger=[], w=["worker"])
    cluster.start_guarded()
    keys = ["--server-key", str(cluster.root / "coordinator.public"), "--secret-key", str(cluster.root / "w.secret")]
    cluster.start_worker("w", *keys)
    boss, reader = cluster.holder("boss", timeout=60), cluster.holder("ci", timeout=60)
    files = cluster.root / "files"
    collected().save_partials(files)
    base = save_base(cluster.root)
    cluster.client = boss
    factors_of(cluster, base, str(files), cluster.root / "made")
    (job,) = kfacd.jobs(reader)
    assert kfacd.status(job.job, reader) == job
    assert kfacd.watch(job.job, reader, progress=False) == job
    assert kfacd.plan(cluster.root / "made" / "job.yaml", boss, overwrite=True).stages
    fetched = kfacd.fetch(job.job, tmp_path / "fetched", boss)
    assert (fetched / "factors" / "t" / "factors.safetensors").exists()
    refused: list[Callable[[kfacd.Coordinator], object]] = [
        lambda other: kfacd.submit(cluster.root / "made" / "job.yaml", other, overwrite=True),
        lambda other: kfacd.cancel(job.job, other),
    ]
    for call in refused:
        with pytest.raises(kfacd.InputError, match="needs submitter"):
            call(reader)
    for call in [*refused, lambda other: kfacd.jobs(other), lambda other: kfacd.fetch(job.job, tmp_path / "x", other)]:
        with pytest.raises(kfacd.InputError, match="does not know this key"):
            call(cluster.holder("stranger", timeout=10))


def test_other_bytes_for_a_place_and_what_exceeds_the_quota_are_refused(cluster: Cluster) -> None:
    cluster.start("--run-quota", "3")
    collected().commit(cluster.bind)
    with pytest.raises(kfacd.InputError, match="other bytes stand there: .* push under another run name"):
        collected(probes=3).commit(cluster.bind)
    with pytest.raises(kfacd.RefusedError, match='Remove a run with .* or raise "run-quota" of the coordinator'):
        collected(rank=1, ranks=2).commit(cluster.bind)


def test_ranks_that_disagree_and_half_written_files_are_refused_by_the_job(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start()
    cluster.start_worker("w")
    base = save_base(tmp_path)
    for rank, layers in enumerate(["*", "2"]):
        collected(rank, 2, layers=layers).commit(cluster.bind)
        file = collected(rank, 2, layers=layers).save_partials(tmp_path / "files")
    with pytest.raises(kfacd.InputError, match=r"0\.A"):
        factors_of(cluster, base, "run:r", tmp_path / "pushed")
    with pytest.raises(kfacd.InputError, match=r"0\.A"):
        factors_of(cluster, base, str(tmp_path / "files"), tmp_path / "named")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(kfacd.InputError, match=r"r-1-0\.safetensors"):
        factors_of(cluster, base, str(tmp_path / "files"), tmp_path / "half")


def test_a_file_that_a_killed_rank_left_unfinished_is_no_file(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space")

    collection = collected()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="no space"):
            collection.save_partials(tmp_path)
    assert list(tmp_path.glob("*.safetensors*")) == []
    assert collection.save_partials(tmp_path).name == "r-0-0.safetensors"
