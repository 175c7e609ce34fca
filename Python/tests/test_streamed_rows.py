"""Rows that workers sum: the factors of the same rows in fp64, and the same bytes whatever is lost meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES
from daemons import Cluster, factors_of
from files import errors
from reference import Case, factors
from safetensors.torch import load, save_file
from test_architectures import PROBES, halves, noise_of
from torch import Tensor, nn

import kfacd
from kfacd.attempts import ATTEMPTS_MAX, attempts
from kfacd.cluster.streams import RowStream
from kfacd.partials import square
from kfacd.steps import Kind
from kfacd.sums import Products


def factors_of_sums(data: bytes, normalization: str, probes: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The factors of one file of partial sums, divided as DESIGN section 2.1 says; and its metadata."""
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    rows, samples, diagonals = (
        json.loads(metadata.get("rows", "{}")),
        int(metadata["samples"]),
        metadata.get("diagonal", ""),
    )
    made: dict[str, Tensor] = {}
    for name, packed in load(data).items():
        owner, side = name.rsplit(".", 1)
        if side == "A":
            divisor = samples if normalization == "reduce" else rows[owner]
        else:
            divisor = (rows[owner] if side == "B" and normalization == "tak" else samples) * probes
        size = int((8 * packed.numel() + 1) ** 0.5) // 2
        values = packed if f'"{name}"' in diagonals else torch.from_numpy(square(packed.numpy(), size))
        made[name] = values / divisor
    return made, metadata


def streamed(cluster: Cluster, case: Case, normalization: Kind = "tak", **options: Any) -> bytes:
    settings = {"layers": "*", **case.options, **options}
    with kfacd.collect(
        case.model.eval(),
        task="t",
        run="r",
        probes=PROBES,
        seed=5,
        normalization=normalization,
        sink="rows",
        coordinator=cluster.bind,
        **settings,
    ) as collection:
        for part in halves(case):
            inputs, mask = case.batch(part)
            collection.step(case.forward(case.model, inputs), mask=mask)
        assert collection.commit() == "run:r"
    (found,) = cluster.files("r").values()
    return found


@pytest.mark.parametrize("normalization", ["tak", "reduce"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_factors_of_streamed_rows_equal_the_sums_over_single_samples(
    architecture: str, normalization: Kind, cluster: Cluster
) -> None:
    cluster.start()
    cluster.start_worker("w")
    case = ARCHITECTURES[architecture]()
    if case.reference_model is not None:
        case.reference_model.eval()
    found, metadata = factors_of_sums(streamed(cluster, case, normalization), normalization, PROBES)
    assert errors(found, factors(case, noise_of(case, 5), normalization), metadata) == {}


SIZE = 96


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(SIZE, 64), nn.Tanh(), nn.Linear(64, 7)).eval()


def batches() -> list[Tensor]:
    torch.manual_seed(4)
    return list(torch.randn(6, 40, SIZE))


def collect(cluster: Cluster, **options: Any) -> tuple[nn.Module, kfacd.Collection]:
    model = network()
    settings = {"seed": 5, "run": "r", "sink": "rows", "coordinator": cluster.client, **options}
    return model, kfacd.collect(model, task="t", **settings)


def run(cluster: Cluster, between: Callable[[int], None] = lambda _: None, **options: Any) -> int:
    """Two sequences of three steps, made again as often as they are lost; returns the number of attempts."""
    model, collection = collect(cluster, **options)
    attempts = 0
    with collection:
        for first in (0, 3):
            for attempt in collection.attempts():
                attempts += 1
                with attempt:
                    for number, x in enumerate(batches()[first : first + 3], start=first):
                        collection.step(model(x))
                        between(number)
                    collection.commit()
    return attempts


def once(act: Callable[[], None], at: int) -> Callable[[int], None]:
    left = [act]
    return lambda number: left.pop()() if left and number == at else None


def test_what_is_lost_in_the_middle_changes_no_byte(cluster: Cluster) -> None:
    cluster.start()
    cluster.start_worker("a")
    assert run(cluster, run="whole") == 2
    expected = cluster.files("whole")
    assert list(expected) == ["0-0", "0-1"]

    def lose_worker() -> None:
        cluster.kill_worker("a")
        cluster.start_worker("b")
        cluster.start_worker("c")

    def lose_coordinator() -> None:
        cluster.kill()
        cluster.start()

    for name, act in (("worker", lose_worker), ("coordinator", lose_coordinator)):
        assert run(cluster, once(act, 4), run=name) == 3
        for place, data in cluster.files(name).items():
            sums, others = load(data), load(expected[place])
            assert sums.keys() == others.keys()
            assert all(torch.equal(value, others[name]) for name, value in sums.items())


def test_a_doubled_stream_computes_no_gradients_and_changes_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.start()
    cluster.start_worker("w")
    assert run(cluster) == 2
    expected = cluster.files("r")
    monkeypatch.setattr(torch.autograd, "grad", None)
    assert run(cluster) == 2
    assert cluster.files("r") == expected


def test_the_rows_of_a_run_are_the_sums_of_its_products(cluster: Cluster, tmp_path: Path) -> None:
    """Sums here and sums there are of the same rows, in both types of rows, and diagonals too."""
    cluster.start()
    cluster.start_worker("w")
    kinds: list[tuple[Products, tuple[str, ...]]] = [("float32", ()), ("bfloat16", ("0.A", "2.B"))]
    for products, diagonal in kinds:
        run(cluster, run=products, products=products, diagonal=diagonal)
        model = network()
        with kfacd.collect(model, task="t", run=products, seed=5, products=products, diagonal=diagonal) as collection:
            for sequence in range(2):
                for x in batches()[3 * sequence : 3 * sequence + 3]:
                    collection.step(model(x))
                sums = load(collection.save_partials(tmp_path).read_bytes())
                found = load(cluster.files(products)[f"0-{sequence}"])
                assert errors(found, {name: value.double() for name, value in sums.items()}, {}) == {}


def test_a_job_takes_the_rows_of_ranks_that_stream_at_once(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start()
    for name in "ab":
        cluster.start_worker(name)
    save_file(network().state_dict(), tmp_path / "base.safetensors")
    with ExitStack() as resources:
        ranks = [(model, resources.enter_context(each)) for model, each in (collect(cluster, rank=r) for r in range(2))]
        for number, x in enumerate(batches()):
            model, collection = ranks[number % 2]
            collection.step(model(x), samples=range(40 * number, 40 * number + 40))
        for _, collection in reversed(ranks):
            collection.commit()
    model = network()
    with kfacd.collect(model, task="t", seed=5) as collection:
        for number, x in enumerate(batches()):
            collection.step(model(x), samples=range(40 * number, 40 * number + 40))
    expected = load(collection.save(tmp_path).read_bytes())
    found = load(factors_of(cluster, tmp_path / "base.safetensors", "run:r", tmp_path / "job"))
    assert errors(found, {name: value.double() for name, value in expected.items()}, {}) == {}


def test_an_end_that_nobody_repeats_says_what_to_do_and_steps_may_be_made_again(cluster: Cluster) -> None:
    cluster.start()
    cluster.start_worker("w")
    model, collection = collect(cluster)
    x = batches()[0]
    with collection:
        collection.step(model(x))
        cluster.kill()
        cluster.start()
        with pytest.raises(kfacd.StreamEndedError, match=r"from the first one on, as a loop over collection\.attempts"):
            for _ in range(1000):
                collection.step(model(x))
        collection.step(model(x))
        collection.commit()
    assert list(cluster.files("r")) == ["0-0"]


def test_attempts_end_with_the_last_loss() -> None:
    count = 0
    with pytest.raises(kfacd.StreamEndedError, match="lost"):
        for attempt in attempts():
            with attempt:
                count += 1
                raise kfacd.StreamEndedError("lost")
    assert count == ATTEMPTS_MAX


def test_a_loop_that_fails_leaves_nothing(cluster: Cluster) -> None:
    cluster.start()
    cluster.start_worker("w")
    model, collection = collect(cluster)
    with pytest.raises(KeyError), collection:
        for attempt in collection.attempts():
            with attempt:
                collection.step(model(batches()[0]))
                raise KeyError("the loop's own")
    with pytest.raises(kfacd.GraphError, match="nothing is saved, because the run ended by an error"):
        collection.commit()
    assert cluster.files("r") == {}


def test_what_cannot_be_done_with_streamed_rows_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start()
    cluster.start_worker("w")
    model, collection = collect(cluster)
    with collection:
        with pytest.raises(kfacd.UnusedLayerError, match="no step was made"):
            collection.commit()
        collection.step(model(batches()[0]))
        for call in (collection.save, collection.save_partials):
            with pytest.raises(kfacd.OptionError, match='because of sink="rows"; use commit'):
                call(tmp_path)
        with pytest.raises(kfacd.OptionError, match="the rows went to the coordinator of collect"):
            collection.commit("tcp://127.0.0.1:1")
        collection.commit(cluster.bind)


def test_without_workers_that_take_rows_the_wait_has_a_bound(cluster: Cluster) -> None:
    cluster.start()
    model, collection = collect(cluster, coordinator=kfacd.Coordinator(cluster.bind, timeout=10))
    with (
        collection,
        pytest.raises(kfacd.BusyError, match=r'Start workers with "--row-memory MIB".*\n.* waited for \d+ s'),
    ):
        collection.step(model(batches()[0]))


def test_sums_that_no_worker_can_hold_are_refused_in_the_coordinators_words(cluster: Cluster) -> None:
    cluster.start()
    cluster.start_worker("w", "--row-memory", "1")
    model = nn.Sequential(nn.Linear(1000, 3)).eval()
    collection = kfacd.collect(model, task="t", sink="rows", coordinator=cluster.bind)
    with collection, pytest.raises(kfacd.RefusedError, match="of memory, and"):
        collection.step(model(torch.randn(2, 1000)))


def test_rows_that_are_not_finite_are_named_and_not_sent(cluster: Cluster) -> None:
    cluster.start()
    cluster.start_worker("w")
    for value in (float("nan"), float("inf"), 3e38):
        model, collection = collect(cluster)
        x = batches()[0].clone()
        with collection:
            collection.step(model(x))
            x[3, 5] = value
            with pytest.raises(kfacd.NonFiniteError, match=r'step 1: .*"the input of 0"'):
                collection.step(model(x))
            with pytest.raises(kfacd.GraphError, match="no step can be added, because step 1 failed"):
                collection.step(model(x))


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.separate = nn.Linear(4, 4), nn.Linear(4, 4), False

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.one(x) + self.two(x.clone() if self.separate else x)
        return output


def test_layers_that_share_their_input_send_it_once_and_may_not_part(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.start()
    cluster.start_worker("w")
    sent: list[int] = []
    send = RowStream.send

    def noted(stream: RowStream, index: int, rows: memoryview, element_type: str) -> None:
        sent.append(index)
        send(stream, index, rows, element_type)

    monkeypatch.setattr(RowStream, "send", noted)
    model = Branches().eval()
    with kfacd.collect(model, task="t", run="r", probes=1, sink="rows", coordinator=cluster.bind) as collection:
        collection.step(model(torch.randn(3, 4)))
        assert sorted(sent) == [0, 1, 2]
        collection.commit()
        stored = load(cluster.files("r")["0-0"])
        assert torch.equal(stored["one.A"], stored["two.A"])
        collection.step(model(torch.randn(3, 4)))
        model.separate = True
        with pytest.raises(kfacd.SelectionError, match='"one", "two" read the same rows in the first step, and not in'):
            collection.step(model(torch.randn(3, 4)))
