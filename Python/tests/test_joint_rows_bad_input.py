"""What collecting joint rows refuses, by its sentences."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import kfacd
from kfacd import sample_rows


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).eval()


def refused(module: nn.Module | None = None, **options: object) -> str:
    given: dict[str, object] = {"task": "t", "normalization": "expand", "joint_rows": (2, 3)}
    with pytest.raises(kfacd.KfacdError) as caught:
        kfacd.collect(module or model(), **(given | options))  # type: ignore[arg-type]
    return str(caught.value)


OPTIONS: dict[str, dict[str, object]] = {
    "joint_rows=(0, 3): expected two numbers of at least 1, of inputs and of gradients.": {"joint_rows": (0, 3)},
    'joint_rows= with normalization="tak": expected "expand", as joint rows are not divided by the number of '
    "positions.": {"normalization": "tak"},
    'joint_rows= with products="bfloat16": expected "float32", as what joint rows hold is subtracted from the '
    "factors.": {"products": "bfloat16"},
    'joint_rows= with sink="rows": workers sum rows, and know no samples; expected "sums".': {"sink": "rows"},
    "memory= and passes= make several passes, and joint rows need one; leave them out.": {"passes": True},
    'layer "2" has a diagonal factor, which joint rows do not cover yet. Leave it out with "!2".': {"diagonal": "2.B"},
}


@pytest.mark.parametrize("message", OPTIONS)
def test_options_that_joint_rows_do_not_have_are_refused(message: str) -> None:
    assert refused(**OPTIONS[message]) == message  # type: ignore[arg-type]


def test_embeddings_are_refused() -> None:
    module = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2)).eval()
    assert refused(module) == ('layer "0" is an embedding, which joint rows do not cover yet. Leave it out with "!0".')


def test_a_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    assert refused(scratch=tmp_path / "none") == (
        f"{tmp_path / 'none'}: no temporary file can be made there (No such file or directory). Name a directory with "
        "room by scratch=."
    )


def steps(module: nn.Module, batches: list[Tensor], mask: Tensor | None = None, **options: object) -> kfacd.Collection:
    given: dict[str, object] = {"task": "t", "normalization": "expand", "joint_rows": (2, 3)}
    with kfacd.collect(module, **(given | options)) as collection:  # type: ignore[arg-type]
        for batch in batches:
            collection.step(module(batch), mask=mask)
    return collection


def failure(module: nn.Module, batches: list[Tensor], mask: Tensor | None = None, **options: object) -> str:
    with pytest.raises(kfacd.KfacdError) as caught:
        steps(module, batches, mask, **options)
    return str(caught.value)


def test_padding_is_refused_and_a_mask_that_leaves_nothing_out_is_not(tmp_path: Path) -> None:
    rows = torch.randn(2, 5, 3)
    mask = torch.ones(2, 5, dtype=torch.bool)
    steps(model(), [rows], mask).save(tmp_path)
    mask[1, 3:] = False
    assert failure(model(), [rows], mask) == (
        'the mask leaves out rows of layer "2"; joint rows need as many of all samples. Give samples without padding, '
        'pool positions with codebook=, or leave the layer out with "!2".'
    )


def test_steps_of_other_lengths_are_refused() -> None:
    assert failure(model(), [torch.randn(2, 5, 3), torch.randn(2, 4, 3)]) == (
        'layer "2" has 4 rows of each sample in this step, and had 5 before; joint rows need as many of all samples. '
        'Give all samples the same length, pool positions with codebook=, or leave it out with "!2".'
    )


class Sometimes(nn.Module):
    """Uses a layer for positive rows only."""

    def __init__(self) -> None:
        super().__init__()
        self.always = nn.Linear(3, 2)
        self.sometimes = nn.Linear(2, 2)

    def forward(self, rows: Tensor) -> Tensor:
        output: Tensor = self.always(rows)
        return self.sometimes(output) if rows.min() > 0 else output


def test_a_layer_that_some_samples_do_not_reach_is_refused(tmp_path: Path) -> None:
    rows = torch.rand(4, 3) + 0.1
    collection = steps(Sometimes().eval(), [rows, -rows], allow_unused=True)
    with pytest.raises(kfacd.UnusedLayerError) as caught:
        collection.save(tmp_path)
    assert str(caught.value) == (
        'joint rows need rows of all 8 samples, and some have none in "sometimes". Leave it out.'
    )


def test_a_layer_that_no_sample_reaches_has_no_rows(tmp_path: Path) -> None:
    from files import stored

    found, _ = stored(steps(Sometimes().eval(), [-torch.rand(4, 3)], allow_unused=True).save(tmp_path))
    assert {name.split(".")[0] for name in found} == {"always", "input_rows", "input_squares"}


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_rows, "ROWS_MAX", 15)
    assert failure(model(), [torch.randn(4, 3), torch.randn(4, 3)], probes=2) == (
        "joint rows were asked of more than 15 samples, or samples times probes. Collect fewer."
    )


def test_a_full_disk_is_refused() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("the machine has no device that is full")
    with kfacd.collect(model(), task="t", normalization="expand", joint_rows=(2, 3)) as collection:
        own = collection._sample_rows
        assert own is not None
        own._file.close()
        own._file = open("/dev/full", "wb", buffering=0)  # type: ignore[assignment]  # noqa: SIM115
        with pytest.raises(kfacd.OptionError) as caught:
            collection.step(collection._model(torch.randn(4, 3)))
    assert str(caught.value).endswith(
        ": the rows of the samples, 0.0 GB so far, have no room there (No space left on device). Name a larger "
        "directory by scratch=, or collect fewer samples or probes."
    )
