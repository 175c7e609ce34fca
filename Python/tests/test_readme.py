from __future__ import annotations

import re
from pathlib import Path

import pytest
from files import stored


def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    factors, metadata = stored(tmp_path / "factors/cars/factors.safetensors")
    assert {name: list(value.shape) for name, value in factors.items()} == {
        "0.A": [9, 9],
        "0.B": [16, 16],
        "2.A": [17, 17],
        "2.B": [4, 4],
    }
    assert (metadata["task"], metadata["samples"]) == ("cars", "320")
