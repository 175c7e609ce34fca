"""Merge the eight tasks of Examples/eight-tasks by every method, and print what each reaches and costs.

    PYTHON Benchmarks/merge_accuracy.py --binaries Benchmarks/.build/release --directory /var/tmp/merges

PYTHON is any interpreter of version 3.10 or later. The directory of binaries has kfacctl, kfacd and kfaclab. The
vectors are those of plain linearised fine-tuning. Methods with factors read finished ones of 256 samples for each task.
No method sees data. Every method has its defaults, but for the densities below, which published work uses. Merges of
two models are left out.

accuracy  mean of the eight tasks' test accuracies in %, of the linearised model at alpha = 1
wall      seconds of `kfacctl run` with two workers, from its start to its end
memory    the largest sum over its processes of what they hold alone (RssAnon), in MiB
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from process_usage import Usage, run

EXAMPLE = Path(__file__).resolve().parent.parent / "Examples" / "eight-tasks"
TASKS = ("fashion", "hdigits", "latin_lower", "greek", "cyrillic", "hebrew", "hiragana", "numerals")

# By name: the method, its parameters, and whether it reads factors.
MERGES: dict[str, tuple[str, str, bool]] = {
    **{
        name: (name, "{}", False)
        for name in (
            "task_arithmetic",
            "linear",
            "model_stock",
            "karcher",
            "multislerp",
            "sce",
            "ram",
            "ramplus_tl",
            "actmat",
            "tact",
            "wudi",
            "ace",
            "tsv_m",
            "iso_c",
            "iso_cts",
        )
    },
    "ties": ("ties", "{density: 0.2}", False),
    **{name: (name, "{density: 0.7}", False) for name in ("dare_linear", "dare_ties", "della", "della_linear")},
    **{name: (name, "{density: 0.9}", False) for name in ("breadcrumbs", "breadcrumbs_ties")},
    "wudi by 300 steps of Adam": ("wudi", "{solver: adam}", False),
    **{name: (name, "{}", True) for name in ("kfac", "kfac_exact", "regmean", "fisher", "disentangle")},
    "actmat with captured covariances": ("actmat", "{}", True),
    "ace with captured covariances": ("ace", "{}", True),
}


def write_job(path: Path, method: str, parameters: str, models: list[str], outputs: str, output: Path) -> None:
    """Writes a job file."""
    lines = [
        f"merge_method: {method}",
        f"base_model: {EXAMPLE}/base.safetensors",
        "models:",
        *(f"- {model}" for model in models),
        f"parameters: {parameters}",
        "kfac: {normalization: expand}",
        f"outputs: {outputs}",
        f"output: {output}",
    ]
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Merges, evaluates and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binaries", type=Path, required=True, help="the directory with kfacctl, kfacd and kfaclab")
    parser.add_argument("--directory", type=Path, required=True, help="for captures, factors and outputs")
    arguments = parser.parse_args()
    binaries, directory = arguments.binaries.resolve(), arguments.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([EXAMPLE / "unpack"], check=True)

    def merge(job: Path) -> Usage:
        command = [str(binaries / "kfacctl"), "run", str(job), "--overwrite", "--workers", "2", "--quiet"]
        return run(command, directory)

    captures, factors = directory / "captures", directory / "factors"
    if not captures.exists():
        run([str(binaries / "kfaclab"), "capture", "--data", str(EXAMPLE), "--output", str(captures)], directory)
    vectors = {task: f"{EXAMPLE}/linear/{task}.safetensors" for task in TASKS}
    job = directory / "job.yaml"
    captured = [f"{{model: {vectors[task]}, captures: {captures}/{task}.safetensors}}" for task in TASKS]
    write_job(job, "task_arithmetic", "{}", captured, "[factors, report]", factors)
    merge(job)
    usages: dict[str, Usage] = {}
    for name, (method, parameters, has_factors) in MERGES.items():
        known = {task: f", factors: {factors}/factors/{task}" if has_factors else "" for task in TASKS}
        models = [f"{{model: {vectors[task]}{known[task]}}}" for task in TASKS]
        output = directory / name.replace(" ", "-")
        write_job(job, method, parameters, models, "[merged, report]", output)
        usages[name] = merge(job)
    result = directory / "result.json"
    # A name of the study would be shown under its label there.
    merged = [f"m:{name}={directory / name.replace(' ', '-')}/merged" for name in usages]
    evaluation = [str(binaries / "kfaclab"), "evaluate", "--data", str(EXAMPLE), "--output", str(result)]
    run([*evaluation, "--merged", *merged], directory)
    rows = {row["method"]: row for row in json.loads(result.read_text())["rows"]}
    accuracies = {name: rows[f"m:{name}"]["accuracy"] for name in usages}
    print(f"pretrained: {rows['pretrained']['accuracy']:.1f} %; {os.cpu_count()} cores")
    print("| method | accuracy, % | wall, s | memory, MiB |")
    print("|---|---|---|---|")
    for name, usage in sorted(usages.items(), key=lambda entry: -accuracies[entry[0]]):
        print(f"| {name} | {accuracies[name]:.1f} | {usage.wall:.2f} | {usage.own_memory:.0f} |")


if __name__ == "__main__":
    sys.exit(main())
