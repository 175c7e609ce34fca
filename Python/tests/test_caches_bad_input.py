"""What the readers and writers of caches refuse, by its sentences."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from cache_files import Rows, write_kronfluence

import kfacd
from kfacd.__main__ import main


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(kfacd.InputError) as caught:
        kfacd.caches.read(*arguments, **options)
    return str(caught.value)


def test_a_cache_of_mammoth_with_other_counts_or_without_a_file_is_refused(tmp_path: Path) -> None:
    Rows(0).write_mammoth(tmp_path, "cars", 0)
    torch.save(torch.tensor([4]), tmp_path / "cars_task_0_num_ggT.pt")
    assert refusal("mammoth", tmp_path, task="cars") == (
        f"{tmp_path}/cars_task_0_num_ggT.pt: 4 samples; expected 5, as in num_aaT."
    )
    (tmp_path / "cars_task_0_num_ggT.pt").unlink()
    assert refusal("mammoth", tmp_path, task="cars") == f"{tmp_path}/cars_task_0_num_ggT.pt: there is no such file."


def test_several_tasks_of_mammoth_are_listed(tmp_path: Path) -> None:
    for number in range(2):
        Rows(0).write_mammoth(tmp_path, "seq-8vision", number)
    assert refusal("mammoth", tmp_path, task="cars") == (
        f"{tmp_path}: 2 tasks; expected one. Give task (the data set) and task_id. The cache has "
        "seq-8vision_task_0, seq-8vision_task_1."
    )
    assert kfacd.caches.read("mammoth", tmp_path, task="cars", task_id=1).task == "cars"
    assert refusal("mammoth", tmp_path / "absent", task="x") == f"{tmp_path / 'absent'}: there is no such directory."


def test_values_that_are_not_finite_are_named(tmp_path: Path) -> None:
    Rows(0).write_mammoth(tmp_path, "cars", 0)
    file = tmp_path / "cars_task_0_ggT.pt"
    content = torch.load(file, weights_only=True)
    content["lin_proj.weight"][2, 1] = float("nan")
    torch.save(content, file)
    assert refusal("mammoth", tmp_path, task="cars") == (
        f"{tmp_path}/cars_task_0: visual.proj.B is not finite, first at [2, 1]."
    )


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("/nonexistent/kfacd",))


def test_objects_in_a_pickle_are_not_made(tmp_path: Path) -> None:
    Rows(0).write_mammoth(tmp_path, "cars", 0)
    torch.save({"x": Payload()}, tmp_path / "cars_task_0_aaT.pt")
    assert refusal("mammoth", tmp_path, task="cars").startswith(
        f"{tmp_path}/cars_task_0_aaT.pt: torch.load(weights_only=True) does not read it"
    )


def test_the_eigenvectors_of_merge_and_rebase_are_refused(tmp_path: Path) -> None:
    torch.save({"UA": {}, "UG": {}, "D": {}}, tmp_path / "curvature.pt")
    assert refusal("merge-and-rebase", tmp_path / "curvature.pt", task="x") == (
        f"{tmp_path / 'curvature.pt'}: expected a dictionary of aaT, ggT, ffT, num_examples_aaT, num_examples_ggT. It "
        "is of the EKFAC variant, which stores eigenvectors."
    )


def test_kronfluence_without_a_number_of_samples_or_with_partitions_is_refused(tmp_path: Path) -> None:
    write_kronfluence(tmp_path / "x")
    assert refusal("kronfluence", tmp_path / "x", task="x") == (
        f"{tmp_path / 'x'}: the number of samples is not stated; expected covariance_dataset_metadata.json and "
        "factor_arguments.json. Give samples."
    )
    (tmp_path / "x/gradient_covariance.safetensors").rename(
        tmp_path / "x/gradient_covariance_data_partition0_module_partition0.safetensors"
    )
    assert refusal("kronfluence", tmp_path / "x", task="x", samples=1) == (
        f"{tmp_path / 'x'}/gradient_covariance.safetensors: there is no such file; expected kronfluence's directory "
        "factors_NAME. It holds partitions; let kronfluence aggregate them."
    )


def test_what_a_program_has_no_place_for_is_refused(tmp_path: Path) -> None:
    wide = kfacd.caches.FactorSet(
        "x",
        "tak",
        1,
        {"wte": torch.ones(3)},
        {"wte": torch.eye(2)},
        {"norm.weight": torch.eye(2)},
        layout={"wte": "in_out"},
    )
    with pytest.raises(kfacd.InputError) as caught:
        kfacd.caches.write("kronfluence", tmp_path, wide)
    assert caught.value.problems == [
        "norm.weight: kronfluence has no factors of parameters outside layers.",
        "wte: only a diagonal is known, and kronfluence has whole matrices.",
        "wte: its weight is stored as [d_in, d_out]; kronfluence has Linear and Conv2d alone.",
    ]
    with pytest.raises(kfacd.InputError) as caught:
        kfacd.caches.write("mammoth", tmp_path, wide)
    assert "wte: its name does not begin with 'visual.'; give the prefix of the vision tower's names." in str(
        caught.value
    )
    reduced = kfacd.caches.FactorSet("x", "reduce", 1, {"fc": torch.eye(2)}, {"fc": torch.eye(2)})
    with pytest.raises(kfacd.InputError, match="The factors of x are normalized as reduce"):
        kfacd.caches.write("kronfluence", tmp_path, reduced)


def test_the_command_prints_a_sentence_and_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["import", "mammoth", str(tmp_path / "none"), "--task", "x", "--output", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'none'}: there is no such directory.\n"
