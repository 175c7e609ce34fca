"""Sums against products in fp64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from kfacd import sums
from kfacd.partials import square
from kfacd.sums import Sum


@pytest.mark.parametrize("size", [5, 255, 256, 257, 700])
@pytest.mark.parametrize("ones", [False, True])
def test_a_sum_of_any_size_is_that_of_fp64(size: int, ones: bool) -> None:
    rows = torch.randn(300, size)
    total = Sum(1, size, ones=ones)
    for part in rows.split(70):
        total.add(part, len(part))
    wide = torch.cat([rows, torch.ones(300, 1)], 1).double() if ones else rows.double()
    expected = (wide.T @ wide).numpy()
    found = square(total.packed(0), expected.shape[0])
    assert np.linalg.norm(found - expected) < 1e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize("size", [1, 384, 769, 1537])
@pytest.mark.parametrize("arranged", [lambda rows: rows, lambda rows: torch.cat([rows, rows], 1)[:, : rows.shape[1]]])
def test_a_sum_of_many_rows_at_once_is_that_of_fp64(size: int, arranged: Callable[[Tensor], Tensor]) -> None:
    rows = torch.randn(sums.SYMMETRIC_ROWS + 3, size)
    total = Sum(1, size)
    total.add(arranged(rows), len(rows))
    total.add(rows[:7], 7)
    wide = torch.cat([rows, rows[:7]]).double()
    expected = (wide.T @ wide).numpy()
    assert np.linalg.norm(square(total.packed(0), size) - expected) < 1e-6 * np.linalg.norm(expected)


def test_a_flush_takes_the_whole_lower_triangle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "FLUSH_ROWS", 32)
    rows = torch.randn(100, 600)
    total = Sum(1, 600)
    total.add(rows, 100)
    expected = (rows.double().T @ rows.double()).numpy()
    assert np.linalg.norm(square(total.packed(0), 600) - expected) < 1e-6 * np.linalg.norm(expected)


def test_groups_and_diagonals_are_blocks_of_the_whole() -> None:
    rows = torch.randn(50, 12)
    whole = (rows.T.double() @ rows.double()).numpy()
    groups, diagonal = Sum(3, 4), Sum(1, 12, diagonal=True)
    groups.add(rows, 50)
    diagonal.add(rows, 50)
    for group in range(3):
        part = slice(4 * group, 4 * group + 4)
        np.testing.assert_allclose(square(groups.packed(group), 4), whole[part, part], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(diagonal.packed(0), np.diag(whole), rtol=1e-5)


def test_many_rows_are_flushed_into_fp64(monkeypatch: pytest.MonkeyPatch) -> None:
    # In fp32 alone a sum of 2²⁴ ones cannot grow any more.
    monkeypatch.setattr(sums, "FLUSH_ROWS", 64)
    total = Sum(1, 1)
    total.add(torch.full((1, 1), 4096.0), 1)
    total.add(torch.ones(64 * 64, 1), 64 * 64)
    assert total.packed(0).tolist() == [4096.0**2 + 64 * 64]


def test_bfloat16_products_are_those_of_rounded_rows() -> None:
    rows = torch.randn(40, 6)
    total = Sum(1, 6)
    total.add(rows, 40, "bfloat16")
    rounded = rows.bfloat16().double()
    np.testing.assert_allclose(square(total.packed(0), 6), (rounded.T @ rounded).numpy(), rtol=1e-4, atol=1e-5)
