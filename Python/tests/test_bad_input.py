"""Every refusal names what is wrong, and what to do."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import gpt2, network_with_dropout, t5
from files import stored
from safetensors.torch import save_file
from torch import nn

import kfacd
from kfacd import patterns


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def test_patterns_follow_the_rules_of_job_files() -> None:
    names = ["blocks.0.mlp.fc1", "blocks.0.attn.q", "head", "a*b", "!c"]
    assert patterns.select("*.mlp.*", names, "layers") == ["blocks.0.mlp.fc1"]
    assert patterns.select(["blocks.*", "!*.q"], names, "layers") == ["blocks.0.mlp.fc1"]
    assert patterns.select(["!blocks.*"], names, "layers") == ["head", "a*b", "!c"]
    assert patterns.select("a\\*b", names, "layers") == ["a*b"]
    assert patterns.select("\\!c", names, "layers") == ["!c"]
    assert patterns.select("hea?", names, "layers") == ["head"]
    assert patterns.matches("a[0]", "a[0]") and not patterns.matches("a[0]", "a0")


def test_a_pattern_that_matches_nothing_lists_what_there_is() -> None:
    with pytest.raises(kfacd.SelectionError) as raised:
        kfacd.collect(network(), task="t", layers=["0", "*.mlp.*"])
    assert str(raised.value) == (
        'layers="*.mlp.*" matches nothing; the model has "0", "2". Correct the pattern, or leave it out.'
    )
    with pytest.raises(kfacd.SelectionError, match='layers="!9" matches nothing'):
        kfacd.collect(network(), task="t", layers=["*", "!9"])


def test_a_module_without_an_adapter_is_refused_by_name() -> None:
    model = nn.ModuleDict({"memory": nn.LSTM(2, 2), "head": nn.Linear(2, 2)})
    with pytest.raises(kfacd.SelectionError, match='layer "memory" is a LSTM, for which there is no adapter'):
        kfacd.collect(model, task="t")
    assert kfacd.collect(model, task="t", layers=["*", "!memory"]).layers == ["head"]


def test_a_layer_without_a_name_is_refused() -> None:
    with pytest.raises(kfacd.SelectionError, match="the model itself is a Linear, so its layer has no name"):
        kfacd.collect(nn.Linear(2, 2), task="t")


def test_wrappers_that_change_a_layers_output_are_refused_by_name() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(network(), LoraConfig(r=2, target_modules=["0"], use_dora=True))
    with pytest.raises(kfacd.SelectionError, match='layer "0" has a DoRA adapter'):
        kfacd.collect(model, task="t")
    with pytest.raises(kfacd.SelectionError, match="DataParallel is not offered; run one process"):
        kfacd.collect(nn.DataParallel(network()), task="t")


def test_a_parameter_of_no_normalisation_is_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.PReLU(2))
    with pytest.raises(kfacd.SelectionError, match='parameter "1.weight" belongs to a PReLU'):
        kfacd.collect(model, task="t", parameters="*")


def test_dropout_in_training_mode_is_a_warning() -> None:
    model = network_with_dropout()
    with pytest.warns(kfacd.DropoutWarning, match=r'in training mode, and "1" makes its outputs random.*model.eval'):
        kfacd.collect(model, task="t")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kfacd.collect(model.eval(), task="t")


def test_rows_that_are_not_finite_are_named_with_their_step(tmp_path: Path) -> None:
    model, x = network(), torch.randn(6, 4)
    with kfacd.collect(model, task="t") as collection:
        collection.step(model(x))
        x[2, 1] = float("nan")
        with pytest.raises(
            kfacd.NonFiniteError, match=r'^step 1: "the input of 0", "the input of 2", "the output grad'
        ):
            collection.step(model(x))
        with pytest.raises(kfacd.GraphError, match="because step 1 failed"):
            collection.step(model(torch.randn(6, 4)))
    with pytest.raises(kfacd.GraphError, match="nothing is saved, because step 1 failed"):
        collection.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_padding_may_hold_anything(tmp_path: Path) -> None:
    model, x = nn.Sequential(nn.Linear(2, 2)), torch.randn(2, 3, 2)
    x[1, 2] = float("nan")
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    with kfacd.collect(model, task="t") as collection:
        collection.step(model(x).masked_fill(mask.unsqueeze(-1) == 0, 0).sum(1), mask=mask)
    rows = x[mask.bool()]
    rows = torch.cat([rows, torch.ones(5, 1)], 1)
    torch.testing.assert_close(stored(collection.save(tmp_path))[0]["0.A"], rows.T @ rows / 5)


def test_a_layer_that_never_ran_is_named() -> None:
    model, x = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)}), torch.randn(3, 2)
    with kfacd.collect(model, task="t") as collection, pytest.raises(kfacd.UnusedLayerError, match='^"b" never ran'):
        collection.step(model["a"](x))
    with kfacd.collect(model, task="t") as collection:
        unused = model["b"](x)
        with pytest.raises(kfacd.UnusedLayerError, match='the output does not depend on "b"'):
            collection.step(model["a"](x))
    assert unused.shape == (3, 2)


def test_a_layer_without_rows_is_written_as_such_where_that_is_allowed(tmp_path: Path) -> None:
    model, x = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 3)}), torch.randn(3, 2)
    with kfacd.collect(model, task="t", allow_unused=True, run="r") as collection:
        collection.step(model["a"](x))
    found, metadata = stored(collection.save(tmp_path))
    assert set(found) == {"a.A", "a.B"}
    assert json.loads(metadata["rows"]) == {"a": 3, "b": 0}
    sums, _ = stored(collection.save_partials(tmp_path))
    assert sums["b.A"].tolist() == [0] * 6 and sums["b.B"].tolist() == [0] * 6


def test_masks_of_other_shapes_are_refused() -> None:
    model, x = nn.Sequential(nn.Linear(2, 2)), torch.randn(2, 3, 2)
    for mask, message in {
        torch.ones(3, 3): r"mask has the shape \[3, 3\]; expected \[2, positions\], as the output has 2 samples",
        torch.ones(2, 5): r'mask has the shape \[2, 5\], but layer "0" has 3 positions .* expected \[2, 3\]',
    }.items():
        with kfacd.collect(model, task="t") as collection, pytest.raises(kfacd.ShapeError, match=message):
            collection.step(model(x), mask=mask)


def test_outputs_that_are_no_output_are_refused() -> None:
    model, x = network(), torch.randn(6, 4)
    cases = [
        (lambda: model(x).detach(), kfacd.GraphError, "the output has no graph"),
        (lambda: model(x).sum(), kfacd.ShapeError, "and no loss"),
        (lambda: {"logits": model(x)}, kfacd.ShapeError, "output is a dict; expected a tensor"),
        (lambda: torch.ones(6, 2, requires_grad=True), kfacd.GraphError, "no chosen layer ran"),
    ]
    for output, kind, message in cases:
        with kfacd.collect(model, task="t") as collection, pytest.raises(kind, match=message):
            collection.step(output())
    with (
        kfacd.collect(model, task="t") as collection,
        torch.no_grad(),
        pytest.raises(kfacd.GraphError, match='"0", "2" ran without a graph'),
    ):
        collection.step(model(x))
    with pytest.raises(kfacd.GraphError, match="within the with statement"):
        kfacd.collect(model, task="t").step(model(x))


def test_an_input_that_is_changed_in_place_afterwards_is_refused() -> None:
    model, x = nn.Sequential(nn.Linear(2, 2).requires_grad_(False)), torch.randn(3, 2)
    with (
        kfacd.collect(model, task="t") as collection,
        pytest.raises(kfacd.GraphError, match='input of "0" was changed'),
    ):
        output = model(x)
        x.zero_()
        collection.step(output)


def test_embeddings_of_positions_are_refused_by_name() -> None:
    case = gpt2()
    inputs, mask = case.batch(case.samples)
    with (
        kfacd.collect(case.model.eval(), task="t") as collection,
        pytest.raises(kfacd.ShapeError, match=r'layer "transformer.wpe" was given \[1, 5, 8\].*"!transformer.wpe"'),
    ):
        collection.step(case.forward(case.model, inputs), mask=mask)
    case = t5()
    inputs, _ = case.batch(case.samples)
    with kfacd.collect(case.model.eval(), task="t") as collection, pytest.raises(kfacd.ShapeError, match="relative"):
        collection.step(case.forward(case.model, inputs))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "a/b"}, 'task="a/b" is no name'),
        ({"run": ".x"}, 'run=".x" is no name'),
        ({"normalization": "mean"}, 'normalization="mean" is unknown; expected "tak", "expand", "reduce"'),
        ({"products": "float16"}, 'products="float16" is unknown'),
        ({"fisher": "true"}, 'fisher="true" is unknown'),
        ({"fisher": "labels"}, "so set probes=1"),
        ({"fisher": "sampled", "probes": "exact"}, 'probes="exact" needs fisher="features"'),
        ({"probes": 0}, "expected at least 1"),
        ({"rank": -1}, "expected numbers from 0 to 2147483646"),
        ({"layers": []}, "no layer and no parameter is chosen"),
    ],
)
def test_options_that_are_not_offered_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(kfacd.KfacdError, match=re.escape(message)):
        kfacd.collect(network(), **{"task": "t", **options})  # type: ignore[arg-type]


def test_the_digest_of_a_base_is_that_of_job_files(tmp_path: Path) -> None:
    single = tmp_path / "single.safetensors"
    save_file({"a": torch.ones(2)}, single)
    expected = hashlib.sha256(single.read_bytes())
    assert kfacd.sha256_base(single) == expected.hexdigest()
    sharded = tmp_path / "sharded"
    sharded.mkdir()
    weights = {}
    for number in (2, 1):
        name = f"model-0000{number}-of-00002.safetensors"
        save_file({f"a{number}": torch.full((2,), float(number))}, sharded / name)
        weights[f"a{number}"] = name
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    digests = [hashlib.sha256((sharded / name).read_bytes()).digest() for name in sorted(weights.values())]
    assert kfacd.sha256_base(sharded) == hashlib.sha256(b"".join(digests)).hexdigest()
    with pytest.raises(kfacd.BaseMismatchError, match=r"is missing; expected a safetensors file"):
        kfacd.sha256_base(tmp_path / "nothing")


def test_a_model_that_is_not_the_base_is_refused(tmp_path: Path) -> None:
    model = network()
    save_file(model.state_dict(), tmp_path / "base.safetensors")
    kfacd.collect(model, task="t", base=tmp_path / "base.safetensors")
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.state_dict()["2.weight"].add_(1)
    with pytest.raises(kfacd.BaseMismatchError, match='the model differs from the base in "2.weight"; expected θ₀'):
        kfacd.collect(other, task="t", base=tmp_path / "base.safetensors")
    with pytest.raises(kfacd.BaseMismatchError, match="holds none of the chosen layers' parameters"):
        kfacd.collect(nn.ModuleDict({"x": model}), task="t", base=tmp_path / "base.safetensors")
    with pytest.raises(kfacd.BaseMismatchError, match="is neither a checkpoint nor a SHA-256"):
        kfacd.collect(model, task="t", base="abc")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    with kfacd.collect(model, task="t", run="r") as collection:
        collection.step(model(torch.randn(6, 4)))
    (tmp_path / "factors.safetensors").write_text("an earlier file")

    def full(_: int) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        for save in (collection.save, collection.save_partials):
            with pytest.raises(OSError, match="no space left"):
                save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["factors.safetensors"]
    assert (tmp_path / "factors.safetensors").read_text() == "an earlier file"
    # A failed file does not lose the sums.
    assert stored(collection.save_partials(tmp_path))[1]["sequence"] == "0"
    with pytest.raises(kfacd.UnusedLayerError, match="no step was made"):
        collection.save_partials(tmp_path)


class Tower(nn.Module):
    """A vision tower with parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token, self.class_embedding = nn.Parameter(torch.zeros(1, 1, 4)), nn.Parameter(torch.zeros(4))
        self.proj = nn.Parameter(torch.zeros(4, 3))
        self.fc = nn.Linear(4, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": "cls_token"}, 'parameter "cls_token" has the shape [1, 1, 4]; only scales and shifts of'),
        ({"parameters": "class_embedding"}, 'parameter "class_embedding" belongs to a Tower, for which there is no'),
        ({"layers": ["fc", "proj"]}, '"proj" is a parameter of Tower itself; expected the name of a module'),
    ],
)
def test_parameters_that_no_module_of_a_known_kind_holds_are_refused_by_name(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(kfacd.SelectionError, match=re.escape(message)):
        kfacd.collect(Tower(), task="t", **options)
    assert kfacd.collect(Tower(), task="t").layers == ["fc"]


def test_a_convolution_of_three_dimensions_is_refused_by_name() -> None:
    model = nn.ModuleDict({"patches": nn.Conv3d(3, 4, 2), "head": nn.Linear(2, 2)})
    with pytest.raises(kfacd.SelectionError, match='layer "patches" is a Conv3d, for which there is no adapter'):
        kfacd.collect(model, task="t")


def test_a_sample_whose_output_is_not_finite_is_named() -> None:
    model, x = network(), torch.randn(6, 4)
    x[2:4] = float("nan")
    with (
        kfacd.collect(model, task="t") as collection,
        pytest.raises(kfacd.NonFiniteError, match="The output of sample 2 of the batch and of 1 more is not finite"),
    ):
        collection.step(model(x))
