"""Measure what kfacd.Penalty adds to a training step of a small vision transformer, for K-FAC and for joint rows.

    OMP_NUM_THREADS=1 python3 Benchmarks/penalty_step.py --rounds 5

It needs kfacd. The model has six blocks of width 192 with MLP × 4, 50 tokens, and random weights. A step is the forward
pass of 32 images, cross-entropy, the backward pass and AdamW. The regularizer is of two tasks with 64 images and two
probes each, collected here:

    plain       without a penalty
    kfac        add_grad_() of the factors alone
    joint       add_grad_() of 32 × 128 joint rows with K-FAC on the complement
    every 4     the same in each fourth step; the mean of four steps

In a round each of them runs once. With one thread the time is the processor's, so that other programs disturb it
little; with more it is the clock's. Prints JSON: the median, the least and the largest seconds of a step, the seconds
of collecting a task, with and without joint rows, and the sizes of the regularizers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import kfacd

WIDTH, DEPTH, HEADS, PATCH, SIDE, CLASSES = 192, 6, 3, 8, 56, 10
BATCH, SAMPLES, PROBES, RANKS, EVERY = 32, 64, 2, (32, 128), 4


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        shape = (*hidden.shape[:2], 3, HEADS, WIDTH // HEADS)
        q, k, v = self.qkv(self.ln1(hidden)).view(shape).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        hidden = hidden + self.proj(attended)
        return hidden + self.fc2(nn.functional.gelu(self.fc1(self.ln2(hidden))))


class VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.position = nn.Parameter(0.02 * torch.randn(1, (SIDE // PATCH) ** 2 + 1, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.patches(images).flatten(2).transpose(1, 2)
        rows = torch.cat([self.token.expand(len(rows), -1, -1), rows], dim=1) + self.position
        return self.head(self.norm(self.blocks(rows))[:, 0])


def clock() -> float:
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def collect(model: nn.Module, task: str, directory: Path, ranks: tuple[int, int] | None) -> tuple[Path, float]:
    """The factor file of a task of random images, and its seconds."""
    begin = clock()
    with kfacd.collect(
        model,
        task=task,
        parameters=["*ln1*", "*ln2*", "norm.*"],
        probes=PROBES,
        normalization="expand",
        joint_rows=ranks,
    ) as collection:
        for images in torch.randn(SAMPLES, 3, SIDE, SIDE).split(BATCH):
            collection.step(model(images))
    file = collection.save(directory / f"{task}-{ranks}")
    return file, clock() - begin


def without_rows(joint: Path, path: Path) -> Path:
    """The regularizer of the factors alone."""
    with safe_open(joint, "pt") as file:
        metadata = file.metadata() | {"form": "accumulated"}
        names = [name for name in file.keys() if name.endswith((".A", ".B", ".F"))]  # noqa: SIM118
        tensors = {name: file.get_tensor(name) for name in names}
    save_file(tensors, path, metadata)
    return path


def steps(model: nn.Module, penalties: dict[str, kfacd.Penalty | None]) -> dict[str, Callable[[], float]]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    images, labels = torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(CLASSES, (BATCH,))

    def timed(penalty: kfacd.Penalty | None) -> float:
        count = 1 if penalty is None else penalty.every
        begin = clock()
        for _ in range(count):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            if penalty is not None:
                penalty.add_grad_()
            optimizer.step()
        return (clock() - begin) / count

    return {name: lambda penalty=penalty: timed(penalty) for name, penalty in penalties.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    model = VisionTransformer().eval()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _, plain = collect(model, "warm-up", directory, None)
        _, plain = collect(model, "a", directory, None)
        files, seconds = zip(*(collect(model, task, directory, RANKS) for task in "ab"), strict=True)
        joint = kfacd.accumulate_joint_rows(files, directory / "joint.safetensors")
        factors = without_rows(joint, directory / "factors.safetensors")
        base = {key: value.clone() for key, value in model.state_dict().items()}
        penalties = {
            "plain": None,
            "kfac": kfacd.Penalty(factors, model, base=base, beta=1e-3),
            "joint": kfacd.Penalty(joint, model, base=base, beta=1e-3),
            "every 4": kfacd.Penalty(joint, model, base=base, beta=1e-3, every=EVERY),
        }
        sizes = {"kfac": factors.stat().st_size, "joint": joint.stat().st_size}
        kinds = steps(model, penalties)
        for step in kinds.values():
            step()
        times = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, step in kinds.items():
                times[kind].append(step())
    result = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "step_s": {kind: [statistics.median(each), min(each), max(each)] for kind, each in times.items()},
        "collect_s": {"factors": plain, "with joint rows": min(seconds)},
        "bytes": sizes,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
