"""Time one step of linearised fine-tuning in PyTorch, to compare with.

    python3 Benchmarks/linearized_step.py --threads 2 --steps 50 [--base base.safetensors]

The model is a vision transformer on 28 × 28 images: width 64, three blocks, four heads, MLP × 4, 17 tokens, features of
64 numbers and unit length. A step is what a user would write, in float32: f(θ0) + Jτ for a batch of 64 by
forward-mode differentiation (`torch.func.jvp`), cross-entropy of a frozen head of 32 classes, the gradient with respect
to τ by reverse mode, and AdamW. The patch embedding is frozen, and is computed outside of the derivative.

Prints one line of JSON: the version of PyTorch, the threads, and the median and the best milliseconds of a step.
"""

import argparse
import json
import statistics
import time

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn import functional

WIDTH, DEPTH, HEADS, MLP, PATCH, SIDE, OUT = 64, 3, 4, 4, 7, 28, 64
BATCH, CLASSES, WARM_UP = 64, 32, 5


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.ln2 = nn.LayerNorm(WIDTH)
        self.fc1 = nn.Linear(WIDTH, MLP * WIDTH)
        self.fc2 = nn.Linear(MLP * WIDTH, WIDTH)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.proj(self.attention(self.qkv(self.ln1(h))))
        u = self.fc1(self.ln2(h))
        return h + self.fc2(u * torch.sigmoid(1.702 * u))

    def attention(self, rows: Tensor) -> Tensor:
        """Attention written out, because the fused kernels have no forward-mode derivative."""
        count, tokens, _ = rows.shape
        q, k, v = rows.reshape(count, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5, -1)
        return (weights @ v).transpose(1, 2).reshape(count, tokens, WIDTH)


class VisionTransformer(nn.Module):
    """From embedded patches to features of unit length."""

    def __init__(self) -> None:
        super().__init__()
        patches = (SIDE // PATCH) ** 2
        self.patch = nn.Linear(PATCH * PATCH, WIDTH)
        self.cls_token = nn.Parameter(0.02 * torch.randn(WIDTH))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(patches + 1, WIDTH))
        self.ln_pre = nn.LayerNorm(WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.ln_post = nn.LayerNorm(WIDTH)
        self.lin_proj = nn.Linear(WIDTH, OUT, bias=False)

    def forward(self, patches: Tensor) -> Tensor:
        token = self.cls_token.expand(len(patches), 1, WIDTH)
        h = self.ln_pre(torch.cat([token, patches], 1) + self.pos_embed)
        for block in self.blocks:
            h = block(h)
        return functional.normalize(self.lin_proj(self.ln_post(h[:, 0])), dim=-1)

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        across = SIDE // PATCH
        grid = images.reshape(-1, across, PATCH, across, PATCH).transpose(2, 3)
        return self.patch(grid.reshape(len(images), across * across, PATCH * PATCH))


def main() -> None:
    parser = argparse.ArgumentParser(description="Time one step of linearised fine-tuning in PyTorch.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--base", help="a checkpoint of this model (safetensors); random numbers by default")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    model = VisionTransformer().requires_grad_(False)
    if arguments.base is not None:
        from safetensors.torch import load_file

        model.load_state_dict(load_file(arguments.base))
    base = {name: value for name, value in model.named_parameters() if not name.startswith(("patch.", "pos_embed"))}
    vector = {name: torch.zeros_like(value, requires_grad=True) for name, value in base.items()}
    head = 20 * functional.normalize(torch.randn(CLASSES, OUT), dim=-1)
    optimizer = torch.optim.AdamW(vector.values(), lr=1e-3, weight_decay=0)

    def step(patches: Tensor, labels: Tensor) -> None:
        features, tangent = jvp(lambda p: functional_call(model, p, (patches,)), (base,), (vector,))
        loss = functional.cross_entropy((features + tangent) @ head.T, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    milliseconds = []
    for index in range(WARM_UP + arguments.steps):
        # The embedding is frozen: a user computes it once for each image, not in every step.
        patches, labels = model.embed(torch.randn(BATCH, SIDE, SIDE)), torch.randint(CLASSES, (BATCH,))
        start = time.perf_counter()
        step(patches, labels)
        if index >= WARM_UP:
            milliseconds.append(1000 * (time.perf_counter() - start))
    result = {
        "torch": torch.__version__,
        "threads": arguments.threads,
        "milliseconds": round(statistics.median(milliseconds), 3),
        "best": round(min(milliseconds), 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
