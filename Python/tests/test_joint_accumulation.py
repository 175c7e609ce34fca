"""The joint rows of several tasks in one regularizer, against their rows one after the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from files import stored
from joint_regularizers import floor_terms, leading, omega
from safetensors.torch import save_file
from torch import Tensor, nn

import kfacd

LAYERS = ("0", "3")


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2, bias=False)).eval()


@pytest.fixture
def tasks(tmp_path: Path) -> tuple[nn.Sequential, list[Path]]:
    """A base, and the factor files of three tasks with all rows."""
    base = model()
    files = []
    for number in range(3):
        with kfacd.collect(
            base, task=f"t{number}", normalization="expand", parameters="1.*", joint_rows=(50, 50), seed=number
        ) as collection:
            collection.step(base(torch.randn(4, 5, 3) * (number + 1)))
        files.append(collection.save(tmp_path / f"t{number}"))
    return base, files


def joined(files: list[Path]) -> dict[str, Tensor]:
    """The tasks' rows one after the other, inputs divided by the root of the number of tasks, and the mean weights."""
    each = [stored(file)[0] for file in files]
    result = {}
    for name in each[0]:
        values = [tensors[name].double() for tensors in each]
        if name.endswith("input_rows"):
            result[name] = torch.cat(values) / len(files) ** 0.5
        elif name.endswith("gradient_rows"):
            result[name] = torch.cat(values)
        elif name.endswith(("squares", ".A")):
            result[name] = torch.stack(values).mean(0)
        else:
            result[name] = torch.stack(values).sum(0)
    return result


def deltas() -> dict[str, Tensor]:
    shapes = {"0": (4, 4), "3": (2, 4), "1.weight": (4,), "1.bias": (4,)}
    return {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}


@pytest.mark.parametrize("floor", ["complement", "none", 0.3])
def test_with_all_rows_it_is_the_form_of_all_tasks_rows(
    tasks: tuple[nn.Sequential, list[Path]], tmp_path: Path, floor: str | float
) -> None:
    _, files = tasks
    target, options = tmp_path / "r.safetensors", {"ranks": (99, 99), "floor": floor}
    path = kfacd.accumulate_joint_rows(files[:2], target, **options)  # type: ignore[arg-type]
    found, metadata = stored(path)
    assert json.loads(metadata["ranks"]) == {"inputs": 8, "gradients": 16}
    assert (metadata["floor"], json.loads(metadata["tasks"])) == (str(floor), ["t0", "t1"])
    delta = deltas()
    expected = omega(joined(files[:2]), delta, str(floor)).item()
    assert omega(found, delta, str(floor)).item() == pytest.approx(expected, rel=1e-5)


def test_rows_are_compressed_under_weights_that_are_means_over_the_tasks(
    tasks: tuple[nn.Sequential, list[Path]], tmp_path: Path
) -> None:
    _, files = tasks
    path = kfacd.accumulate_joint_rows(files, tmp_path / "r.safetensors", ranks=(2, 3), floor="none")
    found, metadata = stored(path)
    rows = joined(files)
    of_constant = rows["1.weight.gradient_squares"] + rows["1.bias.gradient_squares"]
    left, kept_inputs = leading(
        [rows[f"{name}.input_rows"] for name in LAYERS] + [rows["input_rows"].reshape(-1, 1, 1)],
        [rows[f"{name}.gradient_squares"] for name in LAYERS] + [of_constant],
        2,
    )
    parameters = ("1.weight", "1.bias")
    right, kept_gradients = leading(
        [rows[f"{name}.gradient_rows"] for name in LAYERS]
        + [rows[f"{name}.gradient_rows"].unsqueeze(1) for name in parameters],
        [rows[f"{name}.input_squares"] for name in LAYERS] + [torch.ones(1)] * 2,
        3,
    )
    compressed = {
        name: torch.tensordot(left if "input" in name else right, value, dims=1)
        for name, value in rows.items()
        if name.endswith("rows")
    }
    delta = deltas()
    assert omega(found, delta, "none").item() == pytest.approx(omega(compressed, delta, "none").item(), rel=1e-4)
    kept = json.loads(metadata["kept"])
    assert kept["inputs"] == pytest.approx(kept_inputs, rel=1e-5)
    assert kept["gradients"] == pytest.approx(kept_gradients, rel=1e-5)
    for name, value in rows.items():
        if name.endswith("squares"):
            torch.testing.assert_close(found[name], value.float())


def test_weights_take_the_place_of_numbers_of_samples(tasks: tuple[nn.Sequential, list[Path]], tmp_path: Path) -> None:
    _, files = tasks
    path = kfacd.accumulate_joint_rows(files[:2], tmp_path / "r", ranks=(99, 99), weights={"t0": 1, "t1": 3})
    found, metadata = stored(path)
    assert json.loads(metadata["lambda"]) == {"t0": 0.25, "t1": 0.75}
    rows = joined(files[:2])
    first, second = (stored(file)[0] for file in files[:2])
    for name in rows:
        if name.endswith("input_rows"):
            rows[name] = torch.cat([first[name].double() * 0.5, second[name].double() * 0.75**0.5])
        elif name.endswith(".A"):
            rows[name] = 0.25 * first[name].double() + 0.75 * second[name].double()
    delta = deltas()
    assert omega(found, delta, "complement").item() == pytest.approx(omega(rows, delta, "complement").item(), rel=1e-5)
    assert torch.equal(found["0.input_squares"], rows["0.input_squares"].float())


def test_the_complement_of_several_tasks_is_positive_semidefinite(
    tasks: tuple[nn.Sequential, list[Path]], tmp_path: Path
) -> None:
    _, files = tasks
    found, _ = stored(kfacd.accumulate_joint_rows(files, tmp_path / "r.safetensors", ranks=(3, 6)))
    wide = {name: value.double() for name, value in found.items()}
    for name in (*LAYERS, "1.weight", "1.bias"):
        terms = floor_terms(wide, name, "complement")
        rest = sum((weight * matrix for weight, matrix in terms), torch.zeros(()))
        assert float(torch.linalg.eigvalsh(rest).min()) > -1e-6 * float(torch.linalg.eigvalsh(terms[0][1]).max())


def test_a_penalty_reads_it_and_the_scale_mean_divides_by_the_tasks(
    tasks: tuple[nn.Sequential, list[Path]], tmp_path: Path
) -> None:
    base, files = tasks
    start = {name: value.clone() for name, value in base.state_dict().items()}
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.add_(torch.randn_like(parameter))
    values = {}
    for scale in ("paper", "mean"):
        path = kfacd.accumulate_joint_rows(files, tmp_path / scale, ranks=(3, 6), scale=scale)
        penalty = kfacd.Penalty(path, base, base=start)
        values[scale] = penalty().item()
        after = base.state_dict()
        change = {name: after[name] - value for name, value in start.items()}
        delta = {name: change[name].double() for name in ("1.weight", "1.bias")}
        delta |= {"0": torch.cat([change["0.weight"], change["0.bias"].unsqueeze(1)], 1).double()}
        delta |= {"3": change["3.weight"].double()}
        assert values[scale] == pytest.approx(omega(stored(path)[0], delta, "complement").item(), rel=1e-5)
    assert values["mean"] == pytest.approx(values["paper"] / 3, rel=1e-4)


def refused(files: list[Path], path: Path, **options: object) -> str:
    with pytest.raises(kfacd.InputError) as caught:
        kfacd.accumulate_joint_rows(files, path, **options)  # type: ignore[arg-type]
    assert not path.exists()
    return str(caught.value)


def test_files_without_joint_rows_and_of_other_models_are_refused(
    tasks: tuple[nn.Sequential, list[Path]], tmp_path: Path
) -> None:
    base, files = tasks
    target = tmp_path / "r.safetensors"
    with kfacd.collect(base, task="plain", normalization="expand") as collection:
        collection.step(base(torch.randn(4, 5, 3)))
    plain = collection.save(tmp_path / "plain")
    assert refused([files[0], plain], target) == (
        f"{plain}: the file has no joint rows; collect them with kfacd.collect(…, joint_rows=(32, 128))."
    )
    with kfacd.collect(base, task="o", normalization="expand", parameters="1.*", joint_rows=(9, 9)) as collection:
        collection.step(base(torch.randn(4, 6, 3)))
    other = collection.save(tmp_path / "other")
    assert refused([files[0], other], target) == (
        f"{other}: 0.gradient_rows, 0.gradient_squares, 0.input_rows, 0.input_squares, 3.gradient_rows and 3 more are "
        f"not those of {files[0]}; expected one model."
    )
    assert refused([], target) == "there is no factor file; expected those of one task or more."
    assert refused([files[0], files[1], files[0]], target, target="t1").splitlines() == [
        f"{files[0]}: the file is of the task t0, which {files[0]} has already.",
        f"{files[1]}: the file is of the task t1, which is the target; expected the other tasks.",
    ]
    assert refused([files[0]], target, weights={"t1": 1}) == "weights are of the tasks t1; expected t0."
    assert refused(files[:2], target, weights={"t0": 1, "t1": -1}) == (
        "weights are [1.0, -1.0]; expected numbers above 0. Leave a task out by leaving out its file."
    )
    tensors, metadata = stored(files[0])
    altered = tmp_path / "altered.safetensors"
    for text in ("0", '{"0":4,"3":true}', "many"):
        save_file(tensors, altered, metadata | {"samples": text})
        assert refused([altered], target) == (f"{altered}: samples are {text!r}; expected whole numbers of at least 1.")


def test_factor_files_that_lack_tensors_are_refused(tasks: tuple[nn.Sequential, list[Path]], tmp_path: Path) -> None:
    _, files = tasks
    target, altered = tmp_path / "r.safetensors", tmp_path / "altered.safetensors"
    tensors, metadata = stored(files[0])
    for name, message in (
        ("0.B", "the file lacks 0.B, which its joint rows belong to."),
        ("0.gradient_squares", "the file lacks 0.gradient_squares, the weight of its rows."),
        ("0.gradient_rows", "0 lacks gradient_rows; joint rows of a layer have both sides."),
        ("input_squares", "the file lacks input_squares, the weight of its rows."),
    ):
        save_file({key: value for key, value in tensors.items() if key != name}, altered, metadata)
        assert refused([altered], target) == f"{altered}: {message}"
    save_file(tensors, altered, metadata | {"diagonal": '["0.B"]'})
    assert refused([altered], target) == (
        f"{altered}: 0.B is a diagonal, which joint rows do not cover yet. Collect without it."
    )
    save_file(tensors, altered, metadata | {"joint_rows": '{"ranks": [2]}'})
    assert refused([altered], target) == (
        f"{altered}: the metadata's ranks are [2]; expected inputs and gradients, whole numbers of at least 1."
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("0.input_squares", "5 rows of a sample times the trace of 0.A"),
        ("3.gradient_squares", "the trace of 3.B"),
        ("1.weight.gradient_squares", "the trace of 1.weight.F"),
        ("input_squares", "the square of the constant"),
    ],
)
def test_squares_that_contradict_their_factors_are_refused_with_any_floor(
    tasks: tuple[nn.Sequential, list[Path]], tmp_path: Path, name: str, reason: str
) -> None:
    _, files = tasks
    altered = tmp_path / "altered.safetensors"
    tensors, metadata = stored(files[0])
    save_file(tensors | {name: tensors[name] * 1.01}, altered, metadata)
    for floor in ("complement", "none", 0.5):
        (problem,) = refused([altered], tmp_path / "r.safetensors", floor=floor).splitlines()
        assert problem.startswith(f"{altered}: {name} sum to ")
        assert f", {reason}. Collect factors and joint rows again" in problem


def test_rows_that_are_no_part_of_the_samples_and_compressed_factors_are_refused(
    tasks: tuple[nn.Sequential, list[Path]], tmp_path: Path
) -> None:
    _, files = tasks
    altered = tmp_path / "altered.safetensors"
    tensors, metadata = stored(files[0])
    save_file(tensors | {"3.input_rows": tensors["3.input_rows"] * 2}, altered, metadata)
    assert "the squares of its input_rows of 3 sum to" in refused([altered], tmp_path / "r.safetensors")
    bf16 = {"0.A": {"form": "bf16", "dimension": 4, "shift": 0}}
    save_file(tensors | {"0.A": tensors["0.A"].bfloat16()}, altered, metadata | {"compression": json.dumps(bf16)})
    assert "0.A is compressed, but what the rows hold is subtracted from exact factors" in refused(
        [altered], tmp_path / "r.safetensors"
    )


def test_options_are_refused(tasks: tuple[nn.Sequential, list[Path]], tmp_path: Path) -> None:
    target = tmp_path / "r.safetensors"
    assert refused([], target, scale="sum") == "scale is 'sum'; expected paper or mean."
    assert refused([], target, floor=0) == "floor is 0; expected complement, none or a number above 0."
    assert refused([], target, ranks=(0, 2)) == (
        "ranks are (0, 2); expected two whole numbers of at least 1, of inputs and of gradients."
    )
