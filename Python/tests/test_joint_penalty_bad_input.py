"""What is refused of regularizers of joint rows, by its sentences."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from cases import Zoo
from joint_regularizers import contents, metadata
from penalties import refusal
from safetensors.torch import save_file
from torch import Tensor

Change = Callable[[dict[str, Tensor], dict[str, str]], None]


def refused(tmp_path: Path, change: Change, floor: str = "complement") -> str:
    """The message without the file's name, which begins its lines."""
    path = tmp_path / "r.safetensors"
    tensors, stated = contents(floor != "none"), metadata(floor)
    change(tensors, stated)
    save_file(tensors, path, stated)
    return refusal(path, Zoo()).replace(f"{path}: ", "")


def set_tensor(name: str, value: Tensor | None) -> Change:
    def change(tensors: dict[str, Tensor], _: dict[str, str]) -> None:
        del tensors[name]
        if value is not None:
            tensors[name] = value

    return change


def set_metadata(**values: str | None) -> Change:
    def change(_: dict[str, Tensor], stated: dict[str, str]) -> None:
        for key, value in values.items():
            stated.pop(key, None)
            if value is not None:
                stated[key] = value

    return change


TENSORS = {
    "a side is missing": (
        set_tensor("q.input_rows", None),
        "q lacks input_rows; joint rows of a layer have both sides.",
    ),
    "the other side is missing": (
        set_tensor("q.gradient_rows", None),
        "q lacks gradient_rows; joint rows of a layer have both sides.",
    ),
    "ranks contradict": (
        set_tensor("fc.input_rows", torch.ones(4, 3, 5)),
        "fc.input_rows has the shape [4, 3, 5]; expected [k_A, P, d_in] with the rank 3 of the metadata.",
    ),
    "a dimension is missing": (
        set_tensor("fc.gradient_rows", torch.ones(5, 4)),
        "fc.gradient_rows has the shape [5, 4]; expected [k_B, P, d_out] with the rank 5 of the metadata.",
    ),
    "positions differ": (
        set_tensor("fc.input_rows", torch.ones(3, 2, 5)),
        "fc has 2 positions in input_rows and 3 in gradient_rows; expected as many. Write the file again.",
    ),
    "squares are of other positions": (
        set_tensor("fc.input_squares", torch.ones(2)),
        "fc.input_squares has the shape [2]; expected [3], one for each position.",
    ),
    "squares are negative": (
        set_tensor("fc.input_squares", -torch.ones(3)),
        "fc.input_squares has a negative element; it holds means of squares.",
    ),
    "squares are alone": (
        set_tensor("token.gradient_rows", None),
        "token has gradient_squares and no rows.",
    ),
    "rows are not finite": (
        set_tensor("fc.input_rows", torch.full((3, 3, 5), math.inf)),
        "fc.input_rows is not finite, first at [0, 0, 0].",
    ),
    "rows are of another type": (
        set_tensor("fc.input_rows", torch.ones(3, 3, 5, dtype=torch.float64)),
        "fc.input_rows is of the type torch.float64; expected F32.",
    ),
    "rows are empty": (
        set_tensor("fc.input_rows", torch.ones(3, 0, 5)),
        "fc.input_rows has the shape [3, 0, 5]; expected at least one element.",
    ),
    "a parameter's rank contradicts": (
        set_tensor("token.gradient_rows", torch.ones(6, 4)),
        "token.gradient_rows has the shape [6, 4]; expected [k_B, d] with the rank 5 of the metadata; a layer also has "
        "input_rows.",
    ),
    "the constant is of another rank": (
        set_tensor("input_rows", torch.ones(4)),
        "input_rows has the shape [4]; expected [3], as the metadata's ranks say.",
    ),
    "a layer lacks its floor": (
        set_tensor("fc.input_rows", torch.ones(3, 3, 6)),
        "fc.A is of the dimension 5, but the joint rows of 6.",
    ),
    "the squares of the constant are of several positions": (
        set_tensor("input_squares", torch.ones(2)),
        "input_squares has the shape [2]; expected [1], one for each position.",
    ),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_contradict_are_named(tmp_path: Path, case: str) -> None:
    change, message = TENSORS[case]
    assert refused(tmp_path, change) == message


METADATA = {
    "tak": (
        {"normalization": "tak"},
        "the normalization is tak; expected expand: joint rows are not divided by the number of positions, as B is "
        "under tak. Make the job with normalization: expand.",
    ),
    "no normalization": ({"normalization": None}, "the metadata lack normalization."),
    "no floor": ({"floor": None}, "the metadata lack floor."),
    "another floor": (
        {"floor": "-1"},
        "the metadata have the floor '-1'; expected complement, none or a number above 0.",
    ),
    "a floor that is no number": (
        {"floor": "nan"},
        "the metadata have the floor 'nan'; expected complement, none or a number above 0.",
    ),
    "no ranks": (
        {"ranks": None},
        "the metadata's ranks are {}; expected inputs and gradients, whole numbers of at least 1.",
    ),
    "a rank of zero": (
        {"ranks": '{"inputs": 0, "gradients": true}'},
        "the metadata's ranks are {'inputs': 0, 'gradients': True}; expected inputs and gradients, whole numbers of at "
        "least 1.",
    ),
}


@pytest.mark.parametrize("case", METADATA)
def test_metadata_that_contradict_are_named(tmp_path: Path, case: str) -> None:
    values, message = METADATA[case]
    assert refused(tmp_path, set_metadata(**values)) == message  # type: ignore[arg-type]


def test_parameters_without_the_constant_are_refused_together(tmp_path: Path) -> None:
    assert refused(tmp_path, set_tensor("input_rows", None)).splitlines() == [
        f"the file lacks input_rows, the constant input of the parameter {name}."
        for name in ("norm.bias", "norm.weight", "token")
    ]


def test_factors_and_rows_belong_together(tmp_path: Path) -> None:
    def without_factors(tensors: dict[str, Tensor], _: dict[str, str]) -> None:
        for name in ("q.A", "q.B", "token.F"):
            del tensors[name]

    def without_rows(tensors: dict[str, Tensor], _: dict[str, str]) -> None:
        for name in [name for name in tensors if name.startswith("q.") and not name.endswith((".A", ".B"))]:
            del tensors[name]

    assert refused(tmp_path, without_factors).splitlines() == [
        "q has joint rows and lacks A and B, which the floor needs.",
        "token has joint rows and lacks F, which the floor needs.",
    ]
    assert refused(tmp_path, without_rows) == "q has factors and no joint rows; with a floor each has both."
    assert refused(tmp_path, set_metadata(floor="none")).startswith(
        "the floor is none, but the file has factors: c_attn, conv, experts.gate[0], experts.gate[1], fc and 7 more."
    )


def test_a_diagonal_has_no_complement(tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor], stated: dict[str, str]) -> None:
        tensors["fc.B"] = tensors["fc.B"].diagonal().clone()
        stated["diagonal"] = '["fc.B"]'

    assert refused(tmp_path, change) == (
        "fc.B is a diagonal, of which joint rows have no complement; make the job with a number as floor."
    )


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor], _: dict[str, str]) -> None:
        for name in [name for name in tensors if name != "input_rows"]:
            del tensors[name]

    assert refused(tmp_path, change) == "the file holds no joint rows; its form is pseudo_rows."


def test_rows_in_another_form_are_refused(tmp_path: Path) -> None:
    text = refused(tmp_path, set_metadata(form="accumulated"))
    assert text.startswith("the tensor ")
    assert "is none of a regularizer; expected a name ending in .A, .B or .F." in text
    assert (
        "is none of a regularizer; expected a name ending in .A, .B or .F, or in input_rows, gradient_rows"
        in refused(tmp_path, lambda tensors, _: tensors.update({"fc.other": torch.ones(1)}))
    )


def test_another_model_is_refused(tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor], _: dict[str, str]) -> None:
        tensors["fc.input_rows"] = torch.ones(3, 3, 6)
        tensors["norm.weight.gradient_rows"] = torch.ones(5, 3)

    assert sorted(refused(tmp_path, change, "none").splitlines()) == [
        "fc: A is for 6 inputs (one more with a bias) and B for 4 outputs; the model's fc.weight has 5 inputs and 4 "
        "outputs.",
        "norm.weight: its factor is for 3 elements; the model's norm.weight has the shape [4].",
    ]
