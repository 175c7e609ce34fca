"""kfacd takes what the package writes: factors of one task, partial sums of another, and merges both."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import gpt2, multihead_attention, residual_network
from files import errors, stored
from reference import Case
from safetensors.torch import load_file, save_file

import kfacd

PROGRAM = Path(os.environ.get("KFACD_KFACCTL", Path(__file__).parents[2] / ".build/debug/kfacctl"))

pytestmark = pytest.mark.skipif(
    not PROGRAM.exists(), reason=f"{PROGRAM} is missing; build kfacctl, or set KFACD_KFACCTL"
)


def save(case: Case, directory: Path, name: str) -> Path:
    """The model's checkpoint: of transformers in its layout, else a file."""
    path = directory / name
    if hasattr(case.model, "save_pretrained"):
        case.model.save_pretrained(path)  # type: ignore[operator]
        return path
    state = case.model.state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, f"{path}.safetensors")
    return Path(f"{path}.safetensors")


def collect(case: Case, base: Path, numbers: list[int], **options: Any) -> kfacd.Collection:
    with kfacd.collect(case.model, base=base, seed=2, **{**case.options, **options}) as collection:
        inputs, mask = case.batch([case.samples[number] for number in numbers])
        collection.step(case.forward(case.model, inputs), mask=mask, samples=numbers)
    return collection


@pytest.mark.parametrize(
    ("architecture", "normalization"), [("gpt2", "tak"), ("residual", "expand"), ("attention", "reduce")]
)
def test_a_job_merges_with_factors_and_partial_sums(architecture: str, normalization: str, tmp_path: Path) -> None:
    make: dict[str, Any] = {"gpt2": gpt2, "residual": residual_network, "attention": lambda: multihead_attention(True)}
    case: Case = make[architecture]()
    case.model.eval()
    base = save(case, tmp_path, "base")
    options = {"normalization": normalization}
    collect(case, base, [0, 1, 2], task="a", **options).save(tmp_path / "a-factors")
    whole = collect(case, base, [0, 1, 2], task="b", **options)
    expected = stored(whole.save(tmp_path / "b-factors"))
    for rank, numbers in enumerate(([0, 2], [1])):
        collect(case, base, numbers, task="b", run="r", rank=rank, **options).save_partials(tmp_path / "b-sums")
    paths = []
    for name in "ab":
        tuned = copy.copy(case)
        tuned.model = copy.deepcopy(case.model)
        with torch.no_grad():
            for parameter in tuned.model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.01)
        paths.append(save(tuned, tmp_path, name))
    job = {
        "merge_method": "kfac",
        "base_model": str(base),
        "models": [
            {"model": str(paths[0]), "name": "a", "factors": str(tmp_path / "a-factors")},
            {"model": str(paths[1]), "name": "b", "factors": str(tmp_path / "b-sums")},
        ],
        "kfac": {"normalization": normalization},
        "outputs": ["factors", "merged", "report"],
        "output": str(tmp_path / "out"),
    }
    # JSON is YAML.
    (tmp_path / "job.yaml").write_text(json.dumps(job))
    command = [str(PROGRAM), "run", str(tmp_path / "job.yaml"), "--workers", "1", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    merged = load_file(next((tmp_path / "out" / "merged").glob("*.safetensors")))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    chosen = {name for name, _ in case.model.named_parameters() if name in merged}
    with_factors = set(report["merge"]["merged_with_factors"])
    assert len(with_factors & chosen) == {"gpt2": 9, "residual": 8, "attention": 6}[architecture], with_factors
    made, metadata = stored(tmp_path / "out" / "factors" / "b" / "factors.safetensors")
    if architecture == "gpt2":
        # kfacd sums both uses of the tied weight.
        tied = ("transformer.wte.", "lm_head.")
        made, expected = ({k: v for k, v in made.items() if not k.startswith(tied)}, expected)
        expected = ({k: v for k, v in expected[0].items() if not k.startswith(tied)}, expected[1])
    assert errors(made, {name: value.double() for name, value in expected[0].items()}, {}) == {}
    assert metadata["normalization"] == normalization
