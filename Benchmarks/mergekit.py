"""Merge the same models by kfacd and by mergekit, and print one table.

    PYTHON Benchmarks/mergekit.py --binaries Benchmarks/.build/release --directory /var/tmp/mergekit-bench

PYTHON is an interpreter with mergekit, torch and safetensors. The models are Llama checkpoints of random bf16 weights:
a base and two fine-tuned ones. Each method has one configuration, which both programs take as it is. In each round both
run once, in turns as the first, after the inputs were read into the page cache. Other elements than mergekit's are
counted, for methods without random numbers.

wall      seconds from the start of the process to its end, median of the rounds
import    of these, the seconds that Python takes to import mergekit
CPU       user and system seconds of the process and its children
memory    the largest sum over the processes of what they hold alone (RssAnon), and of all resident pages (VmRSS), in
          MiB; the latter counts mapped pages of the inputs

The last line is the bound: the seconds to read all inputs once and to write and sync a copy of the base.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

import torch
from process_usage import Usage, run
from safetensors import safe_open
from safetensors.torch import save_file

LAYERS_PER_SHARD = 4

CONFIGURATIONS = {
    "task_arithmetic": """
merge_method: task_arithmetic
base_model: base
models:
- {model: a, parameters: {weight: 0.6}}
- {model: b, parameters: {weight: 0.4}}
dtype: bfloat16
""",
    "ties": """
merge_method: ties
base_model: base
models:
- {model: a, parameters: {weight: 0.6, density: 0.5}}
- {model: b, parameters: {weight: 0.4, density: 0.5}}
dtype: bfloat16
""",
    "slerp": """
merge_method: slerp
base_model: base
models:
- {model: base}
- {model: a}
parameters: {t: 0.4}
dtype: bfloat16
""",
    "dare_ties": """
merge_method: dare_ties
base_model: base
models:
- {model: a, parameters: {weight: 0.6, density: 0.5}}
- {model: b, parameters: {weight: 0.4, density: 0.5}}
dtype: bfloat16
""",
}


def make_model(directory: Path, seed: int, *, hidden: int, layers: int, vocabulary: int, base: Path | None) -> None:
    """Writes a Llama checkpoint in shards; one with a base differs from it a little everywhere."""
    if (directory / "model.safetensors.index.json").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    wide = hidden * 11 // 4
    shapes = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        for name in "qkvo":
            shapes[f"{prefix}.self_attn.{name}_proj.weight"] = (hidden, hidden)
        for name in ("gate", "up"):
            shapes[f"{prefix}.mlp.{name}_proj.weight"] = (wide, hidden)
        shapes[f"{prefix}.mlp.down_proj.weight"] = (hidden, wide)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{prefix}.{name}.weight"] = (hidden,)
    shapes |= {"model.norm.weight": (hidden,), "lm_head.weight": (vocabulary, hidden)}
    names = list(shapes)
    size = 9 * LAYERS_PER_SHARD
    parts = [names[first : first + size] for first in range(0, len(names), size)]
    places = {}
    for number, part in enumerate(parts, 1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        tensors = {}
        originals = safe_open(base / file, framework="pt") if base else None
        for name in part:
            values = torch.randn(shapes[name], generator=generator) * (0.002 if base else 0.02)
            if originals:
                values += originals.get_tensor(name).float()
            tensors[name] = values.to(torch.bfloat16)
            places[name] = file
        save_file(tensors, directory / file, metadata={"format": "pt"})
    total = sum(2 * torch.Size(shape).numel() for shape in shapes.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    settings = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": wide,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64,
        "vocab_size": vocabulary,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    (directory / "config.json").write_text(json.dumps(settings))


def tensors(directory: Path) -> dict[str, Path]:
    """The file of each tensor of a model."""
    places = {}
    for file in sorted(directory.glob("*.safetensors")):
        places |= dict.fromkeys([*safe_open(file, framework="pt").keys()], file)
    return places


def differing(ours: Path, theirs: Path) -> float:
    """The share of elements that differ by more than the last place of bf16 there, or of the tensor's mean element."""
    total, wrong = 0, 0
    places, others = tensors(ours), tensors(theirs)
    if places.keys() != others.keys():
        sys.exit(f"{ours} and {theirs} hold other tensors")
    for name, file in places.items():
        mine = safe_open(file, framework="pt").get_tensor(name).float()
        other = safe_open(others[name], framework="pt").get_tensor(name).float()
        unit = torch.finfo(torch.bfloat16).eps
        allowed = unit * torch.maximum(torch.maximum(mine.abs(), other.abs()), other.abs().mean())
        wrong += int(((mine - other).abs() > allowed).sum())
        total += mine.numel()
    return wrong / total


def read_inputs(directory: Path) -> None:
    """Reads all checkpoints into the page cache, after everything written before is durable."""
    os.sync()
    for file in directory.glob("*/*.safetensors"):
        with file.open("rb") as content:
            while content.read(1 << 24):
                pass


def bound(directory: Path) -> float:
    """The seconds to read all inputs and to write one model."""
    start = time.perf_counter()
    copy = directory / "copy"
    copy.mkdir(exist_ok=True)
    for model in ("base", "a", "b"):
        for file in (directory / model).glob("*.safetensors"):
            if model != "base":
                with file.open("rb", buffering=0) as content:
                    block = bytearray(1 << 24)
                    while content.readinto(block):
                        pass
                continue
            shutil.copyfile(file, copy / file.name)
            with (copy / file.name).open("rb+") as written:
                os.fsync(written.fileno())
    seconds = time.perf_counter() - start
    shutil.rmtree(copy)
    return seconds


def main() -> None:
    """Measures every method and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binaries", type=Path, required=True, help="the directory with kfacctl and kfacd")
    parser.add_argument("--directory", type=Path, required=True, help="for the models and outputs")
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--methods", nargs="+", default=list(CONFIGURATIONS), choices=list(CONFIGURATIONS))
    arguments = parser.parse_args()
    directory = arguments.directory.resolve()
    sizes = {"hidden": arguments.hidden, "layers": arguments.layers, "vocabulary": arguments.vocabulary}
    make_model(directory / "base", 1, base=None, **sizes)
    for seed, name in enumerate("ab", 2):
        make_model(directory / name, seed, base=directory / "base", **sizes)
    programs = {
        "kfacd": [str((arguments.binaries / "kfacctl").resolve()), "merge"],
        # Its model card asks the hub for the models.
        "mergekit": [str(Path(sys.executable).parent / "mergekit-yaml"), "--no-write-model-card"],
    }
    imports = run([sys.executable, "-c", "import mergekit.scripts.run_yaml"], directory).wall
    size = sum(file.stat().st_size for file in (directory / "base").glob("*.safetensors")) / 1e9
    print(f"models of {size:.1f} GB in bf16, {os.cpu_count()} cores; importing mergekit takes {imports:.1f} s")
    print("| method | program | wall, s | CPU, s | own memory, MiB | resident, MiB | mergekit / kfacd | others |")
    print("|---|---|---|---|---|---|---|---|")
    for method in arguments.methods:
        (directory / f"{method}.yaml").write_text(CONFIGURATIONS[method])
        found: dict[str, list[Usage]] = {name: [] for name in programs}
        for number in range(arguments.rounds):
            for name in list(programs)[:: 1 if number % 2 == 0 else -1]:
                read_inputs(directory)
                output = directory / f"out-{name}"
                shutil.rmtree(output, ignore_errors=True)
                found[name].append(run([*programs[name], f"{method}.yaml", str(output)], directory))
        medians = {name: statistics.median(usage.wall for usage in usages) for name, usages in found.items()}
        for name, usages in found.items():
            usage = usages[0]
            ratio, others = "", ""
            if name == "mergekit":
                kfacd = medians["kfacd"]
                ratio = f"{medians[name] / kfacd:.1f} ({(medians[name] - imports) / kfacd:.1f} without imports)"
                if method != "dare_ties":
                    others = f"{differing(directory / 'out-kfacd', directory / 'out-mergekit'):.1e}"
            print(
                f"| {method} | {name} | {medians[name]:.1f} | {usage.cpu:.1f} | {usage.own_memory:.0f} | "
                f"{usage.resident_memory:.0f} | {ratio} | {others} |",
                flush=True,
            )
    print(f"reading all inputs and writing one model: {bound(directory):.1f} s")


if __name__ == "__main__":
    main()
