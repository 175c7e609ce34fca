"""Mixtures of Gaussians in place of a task's inputs, and the penalty on what is drawn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.cluster import hierarchy
from torch import Tensor, nn
from torch.func import functional_call, jacrev

import kfacd
from kfacd.ward import ward_clusters


def moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the covariance of inputs."""
    flat = inputs.flatten(1).double()
    deviations = flat - flat.mean(0)
    return flat.mean(0), deviations.T @ deviations / len(flat)


def moments_of(mixture: kfacd.InputMixture) -> tuple[Tensor, Tensor]:
    """The mean and the covariance of all of a mixture, by the law of total covariance."""
    means, directions = mixture.means.flatten(1).double(), mixture.directions.flatten(2).double()
    mean = mixture.shares @ means
    between = torch.einsum("k,ki,kj->ij", mixture.shares, means - mean, means - mean)
    return mean, between + torch.einsum("k,kri,krj->ij", mixture.shares, directions, directions)


def inputs(count: int = 200, seed: int = 0) -> Tensor:
    """Inputs of three kinds, [count, 2, 3]."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randn(3, 2, 3, generator=generator) * 4
    chosen = torch.randint(3, (count,), generator=generator)
    return kinds[chosen] + torch.randn(count, 2, 3, generator=generator)


def test_clusters_are_those_of_ward() -> None:
    points = inputs(60).flatten(1).double()
    for most in (1, 2, 5, 17, 60):
        found = ward_clusters(points, torch.full((60,), 1 / 60), torch.ones(60), most, 1)
        labels = hierarchy.fcluster(hierarchy.ward(points.numpy()), most, "maxclust")
        expected = sorted(np.flatnonzero(labels == label).tolist() for label in np.unique(labels))
        assert found == expected


def test_weighted_points_are_as_many_equal_ones() -> None:
    points = inputs(12).flatten(1).double()
    weights = torch.randint(1, 5, (12,))
    repeated = points.repeat_interleave(weights, dim=0)
    owners = torch.arange(12).repeat_interleave(weights)
    found = ward_clusters(points, weights / weights.sum(), weights, 4, 1)
    labels = hierarchy.fcluster(hierarchy.ward(repeated.numpy()), 4, "maxclust")
    expected = sorted(sorted(set(owners[labels == label].tolist())) for label in np.unique(labels))
    assert found == expected


def test_with_all_directions_mean_and_covariance_are_those_of_the_inputs() -> None:
    given = inputs()
    mixture = kfacd.InputMixture.of(given, task="a", components=5, rank=6)
    assert len(mixture.means) == 5 and mixture.directions.shape == (5, 6, 2, 3)
    assert int(mixture.counts.min()) >= 16 and int(mixture.counts.sum()) == 200
    for found, expected in zip(moments_of(mixture), moments(given), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_component_stands_for_at_least_16_inputs() -> None:
    far = torch.cat([inputs(40), inputs(3, seed=1) + 1000])
    mixture = kfacd.InputMixture.of(far, task="a", components=20, rank=1)
    assert int(mixture.counts.min()) >= 16


def test_tasks_have_equal_weight_in_any_grouping() -> None:
    parts = [
        kfacd.InputMixture.of(inputs(100 * number, number), task=f"t{number}", components=6, rank=6)
        for number in (1, 2, 3)
    ]
    together = kfacd.InputMixture.accumulated(parts)
    stepwise = kfacd.InputMixture.accumulated([kfacd.InputMixture.accumulated(parts[:2]), parts[2]])
    each = [moments_of(part) for part in parts]
    mean = torch.stack([own for own, _ in each]).mean(0)
    covariance = torch.stack([own + torch.outer(place - mean, place - mean) for place, own in each]).mean(0)
    for mixture in (together, stepwise):
        assert len(mixture.means) <= 6 and mixture.tasks == ("t1", "t2", "t3")
        torch.testing.assert_close(moments_of(mixture)[0], mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(moments_of(mixture)[1], covariance, rtol=1e-4, atol=1e-4)


def test_draws_have_the_moments_of_the_mixture_and_stay_within_the_bounds() -> None:
    mixture = kfacd.InputMixture.of(inputs(), task="a", components=4, rank=3)
    wide = kfacd.InputMixture(
        mixture.tasks, mixture.shares, mixture.counts, mixture.means, mixture.directions, (-1e9, 1e9)
    )
    drawn = wide.draw(200_000, torch.Generator().manual_seed(1))
    mean, covariance = moments_of(mixture)
    scale = float(covariance.diagonal().mean())
    assert float((moments(drawn)[0] - mean).abs().max()) < 0.02 * scale**0.5
    assert float((moments(drawn)[1] - covariance).abs().max()) < 0.03 * scale
    bounded = mixture.draw(1000)
    assert float(bounded.min()) >= float(inputs().min()) and float(bounded.max()) <= float(inputs().max())


def test_files_keep_a_mixture(tmp_path: Path) -> None:
    mixture = kfacd.InputMixture.of(inputs(), task="dogs", components=4, rank=3)
    again = kfacd.InputMixture.load(mixture.save(tmp_path / "m.safetensors"))
    assert again.tasks == ("dogs",) and again.bounds == pytest.approx(mixture.bounds)
    for name in ("means", "directions", "counts"):
        assert torch.equal(getattr(again, name), getattr(mixture, name))
    torch.testing.assert_close(again.shares, mixture.shares, rtol=1e-6, atol=0)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 4)
        self.last = nn.Linear(4, 3)

    def forward(self, given: Tensor) -> Tensor:
        out: Tensor = self.last(torch.tanh(self.first(given.flatten(1))))
        return out


def exact(model: nn.Module, base: dict[str, Tensor], drawn: Tensor, beta: float) -> tuple[float, dict[str, Tensor]]:
    """β E‖J τ‖² and its gradient by the whole Jacobian, in fp64."""
    wide = {name: value.double() for name, value in base.items()}
    jacobians = jacrev(lambda parameters: functional_call(model, parameters, (drawn.double(),)))(wide)
    change = {name: value.detach().double() - wide[name] for name, value in model.named_parameters()}
    rows = {name: each.flatten(2) for name, each in jacobians.items()}
    drift = sum(torch.einsum("nod,d->no", rows[name], change[name].flatten()) for name in change)
    assert isinstance(drift, Tensor)
    gradient = {
        name: (2 * beta / len(drawn) * torch.einsum("nod,no->d", each, drift)).view_as(base[name])
        for name, each in rows.items()
    }
    return float(beta * drift.square().sum(1).mean()), gradient


@pytest.mark.parametrize("is_linear", [False, True])
def test_the_penalty_is_that_of_the_exact_jacobian(is_linear: bool) -> None:
    model = Network()
    base = {name: value.detach().clone() for name, value in model.named_parameters()}
    mixture = kfacd.InputMixture.of(inputs(), task="a", components=4, rank=3)
    given = kfacd.linearize(model) if is_linear else model
    penalty = kfacd.DrawnPenalty(mixture, given, beta=3.0, samples=32, seed=5)
    assert penalty().item() == 0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    # The second call's draws.
    generator = torch.Generator().manual_seed(5)
    mixture.draw(32, generator)
    expected, gradients = exact(model, base, mixture.draw(32, generator), 3.0)
    value = penalty()
    assert value.item() == pytest.approx(expected, rel=1e-5)
    value.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad.double(), gradients[name], rtol=1e-4, atol=1e-5)


def test_training_under_it_changes_another_task_less() -> None:
    other, own = inputs(400, seed=3), inputs(400, seed=9) + 3
    mixture = kfacd.InputMixture.of(other, task="other", components=12, rank=4)
    drifts = []
    for beta in (0.0, 10.0):
        torch.manual_seed(2)
        model = nn.Sequential(nn.Flatten(), nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 2))
        before = model(other).detach()
        linear = kfacd.linearize(model)
        penalty = kfacd.DrawnPenalty(mixture, linear, beta=beta)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(150):
            optimizer.zero_grad()
            loss = (linear(own) - own.flatten(1)[:, :2]).square().mean() + penalty()
            loss.backward()
            optimizer.step()
        drifts.append(float((linear(other).detach() - before).square().mean()))
    assert drifts[1] < 0.05 * drifts[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.ones(5, 3), "there are 5 inputs"),
        (torch.ones(20, 3, dtype=torch.long), "such as tokens"),
        (torch.full((20, 3), torch.nan), "not finite"),
    ],
)
def test_inputs_without_a_mixture_are_refused(given: Tensor, message: str) -> None:
    with pytest.raises(kfacd.OptionError, match=message):
        kfacd.InputMixture.of(given, task="a")


@pytest.mark.parametrize("size", [{"components": 0}, {"rank": -1}, {"rank": 2.5}, {"components": True}])
def test_sizes_that_are_none_are_refused(size: dict[str, int]) -> None:
    with pytest.raises(kfacd.OptionError, match="expected whole numbers"):
        kfacd.InputMixture.of(inputs(), task="a", **size)


def test_a_rank_is_bounded_by_the_inputs_and_loses_nothing() -> None:
    given = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    mixture = kfacd.InputMixture.of(given, task="a", components=1, rank=10**6)
    assert mixture.directions.shape == (1, 19, 30)
    for found, expected in zip(moments_of(mixture), moments(given), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    narrow = kfacd.InputMixture.of(inputs(), task="b", components=3, rank=10**6)
    assert narrow.directions.shape[1] == 6
    other = kfacd.InputMixture.of(inputs(seed=1), task="c", components=3, rank=2)
    both = kfacd.InputMixture.accumulated([narrow, other], rank=10**6)
    assert both.directions.shape[1] == 6


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_equal_inputs_are_a_component_without_directions(tmp_path: Path, dtype: torch.dtype) -> None:
    given = torch.full((33, 2, 3), 0.1, dtype=dtype)
    mixture = kfacd.InputMixture.of(given, task="a", components=2, rank=3)
    again = kfacd.InputMixture.load(mixture.save(tmp_path / "m.safetensors"))
    for each in (mixture, again, kfacd.InputMixture.accumulated([again])):
        assert torch.equal(each.means, given[:1].float().expand_as(each.means))
        assert not bool(each.directions.any())
        assert torch.equal(each.draw(5), given[:5].float())
        assert int(each.counts.sum()) == 33 and float(each.shares.sum()) == pytest.approx(1)


def test_mixtures_that_do_not_join_are_refused() -> None:
    one = kfacd.InputMixture.of(inputs(), task="a", components=2, rank=1)
    other = kfacd.InputMixture.of(inputs().flatten(1), task="b", components=2, rank=1)
    for mixtures, message in (([], "no mixture"), ([one, one], "a is in two"), ([one, other], "shapes")):
        with pytest.raises(kfacd.OptionError, match=message):
            kfacd.InputMixture.accumulated(mixtures)


def test_a_model_with_one_number_for_each_sample_has_a_penalty() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 1), nn.Flatten(0)).double()
    mixture = kfacd.InputMixture.of(inputs(), task="a", components=4, rank=3)
    penalty = kfacd.DrawnPenalty(mixture, model, beta=1.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert penalty().dtype == torch.float64 and penalty().item() > 0


def test_a_penalty_refuses_what_it_cannot_use(tmp_path: Path) -> None:
    mixture = kfacd.InputMixture.of(inputs(), task="a", components=2, rank=1)
    with pytest.raises(kfacd.OptionError, match="beta=-1"):
        kfacd.DrawnPenalty(mixture, Network(), beta=-1)
    with pytest.raises(kfacd.ShapeError, match="the output for 64 drawn inputs is"):
        kfacd.DrawnPenalty(mixture, Network(), beta=1, outputs=lambda output: output.sum())()
    with pytest.raises(kfacd.InputError, match="no such file"):
        kfacd.DrawnPenalty(tmp_path / "none.safetensors", Network(), beta=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "kfacd.factors/1"}, "format"),
        ({"tasks": "[]"}, "expected names"),
        ({"bounds": "[1, 0]"}, "finite numbers"),
        ({"bounds": "[1.0, 2.0]"}, "beyond"),
        ({"-means": ""}, "lacks means"),
        ({"+shares": ""}, "shares sum to"),
        ({"+means": ""}, "not finite"),
    ],
)
def test_files_that_are_no_mixture_are_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    path = kfacd.InputMixture.of(inputs(), task="a", components=2, rank=1).save(tmp_path / "m.safetensors")
    tensors = load_file(path)
    metadata = {"format": "kfacd.mixture/1", "tasks": '["a"]', "bounds": "[-99.0, 99.0]"}
    for key, value in change.items():
        if key.startswith("-"):
            del tensors[key[1:]]
        elif key.startswith("+"):
            tensors[key[1:]] = torch.full_like(tensors[key[1:]], torch.nan if key == "+means" else 1.0)
        else:
            metadata[key] = value
    save_file(tensors, path, metadata)
    with pytest.raises(kfacd.InputError, match=message):
        kfacd.InputMixture.load(path)
