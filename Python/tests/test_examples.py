"""The examples, run as they are: each ends with a merged model that was loaded and asked."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_merged_model_of_an_example_does_both_tasks(
    path: Path, kfacctl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    lines = re.findall(r"^(\w+): (\d+)% of (\w+)$", capfd.readouterr().out, re.MULTILINE)
    found = {(model, task): int(percent) for model, percent, task in lines}
    tasks = {task for _, task in found}
    assert {model for model, _ in found} == {"base", "merged", *tasks}
    # A training from random weights ends elsewhere on another processor, so the bounds are wide.
    for task in tasks:
        assert found[task, task] >= 90, found
        assert found["merged", task] >= 70, found
    assert sum(found["merged", task] for task in tasks) > sum(found["base", task] for task in tasks), found


def test_every_example_has_at_most_forty_lines_and_its_row_in_the_readme() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert len(EXAMPLES) == 4
    for path in EXAMPLES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 40, path
        assert f"(examples/{path.name})" in readme, path
