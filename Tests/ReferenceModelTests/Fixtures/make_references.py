"""Float64 references for the reference model: features, a tangent and gradients of a vision transformer.

An independent implementation in PyTorch, which shares no code with the one under test. Run it from the root of the
repository:

    python3 Tests/ReferenceModelTests/Fixtures/make_references.py Examples/small/base.safetensors \
        Tests/ReferenceModelTests/Fixtures/references.safetensors

references.safetensors was written by Python 3.11, PyTorch 2.15.0, NumPy 2.4.6 and safetensors 0.8.0. Other versions
give the same values up to rounding.

With n = 3 images, f(θ) the features of unit length, θ0 the checkpoint, τ the direction and u the cotangent, the file
holds (all float64, but for the images):

    images                    [n, 28, 28]  uint8, computed by a formula
    features                  [n, out]     f(θ0)
    direction.<parameter>                  τ; the patch embedding and the positions have none: they are frozen
    tangent                   [n, out]     J τ
    cotangent                 [n, out]     u
    gradient.<parameter>                   Jᵀ u: the gradient of Σ u · f, summed over the samples
    sample_gradient.<parameter> [n, d]     the same of each sample, for the one-dimensional parameters outside layers
    <layer>.input             [rows, d_in] what the layer sees, rows ordered by sample, then position
    <layer>.output_grad       [rows, d_out] the gradient of Σ u · f with respect to what the layer gives

Layers are those of the last block and `lin_proj` (one row per sample). τ and u are representable in float32.
"""

import argparse
import json
import math

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.func import grad, jvp, vjp, vmap

SAMPLES = 3
SIDE = 28
SEED = 20240

Tensors = dict[str, Tensor]


class Model:
    """The vision transformer, as a function of its parameters."""

    def __init__(self, config: dict[str, int], frozen: Tensors) -> None:
        self.width = config["d"]
        self.depth = config["depth"]
        self.heads = config["heads"]
        self.patch = config["patch"]
        self.frozen = frozen

    def embed(self, images: Tensor) -> Tensor:
        """The embedded patches [n, patches, d] of uint8 images; patches and their pixels go row by row."""
        pixels = (images.double() / 255 - 0.2) / 0.35
        count, across = len(images), SIDE // self.patch
        grid = pixels.reshape(count, across, self.patch, across, self.patch)
        patches = grid.permute(0, 1, 3, 2, 4).reshape(count, across * across, self.patch * self.patch)
        return patches @ self.frozen["patch.weight"].T + self.frozen["patch.bias"]

    def features(self, parameters: Tensors, patches: Tensor, offsets: Tensors | None = None,
                 inputs: Tensors | None = None) -> Tensor:
        """Features [n, out] of embedded patches.

        `offsets` are added to the outputs of the layers they name, so that a gradient with respect to an offset is
        one with respect to the output. `inputs` collects what each layer sees.
        """
        count = len(patches)

        def linear(name: str, x: Tensor) -> Tensor:
            if inputs is not None:
                inputs[name] = x.detach()
            y = x @ parameters[name + ".weight"].T
            if name + ".bias" in parameters:
                y = y + parameters[name + ".bias"]
            return y + offsets[name] if offsets is not None and name in offsets else y

        def normalize(name: str, x: Tensor) -> Tensor:
            centred = x - x.mean(-1, keepdim=True)
            variance = (centred * centred).mean(-1, keepdim=True)
            return centred / torch.sqrt(variance + 1e-5) * parameters[name + ".weight"] + parameters[name + ".bias"]

        def attention(rows: Tensor) -> Tensor:
            """Rows hold q, k and v, and the heads of each one after the other."""
            split = rows.reshape(count, -1, 3, self.heads, self.width // self.heads)
            q, k, v = split.permute(2, 0, 3, 1, 4)
            weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(self.width // self.heads), -1)
            return (weights @ v).transpose(1, 2).reshape(count, -1, self.width)

        token = parameters["cls_token"].expand(count, 1, self.width)
        h = normalize("ln_pre", torch.cat([token, patches], 1) + self.frozen["pos_embed"])
        for block in (f"blocks.{index}." for index in range(self.depth)):
            h = h + linear(block + "proj", attention(linear(block + "qkv", normalize(block + "ln1", h))))
            u = linear(block + "fc1", normalize(block + "ln2", h))
            h = h + linear(block + "fc2", u * torch.sigmoid(1.702 * u))
        feature = linear("lin_proj", normalize("ln_post", h[:, 0]))
        return feature / torch.sqrt((feature * feature).sum(-1, keepdim=True))


def make_images() -> Tensor:
    k, i, j = np.ogrid[:SAMPLES, :SIDE, :SIDE]
    return torch.from_numpy(((7 * i * i + 13 * j * j * (k + 1) + 31 * i * j) % 256).astype(np.uint8))


def draw(generator: np.random.Generator, shape: torch.Size, scale: float) -> Tensor:
    """Normal numbers that float32 represents, as float64."""
    values = scale * generator.standard_normal(tuple(shape))
    return torch.from_numpy(values.astype(np.float32).astype(np.float64))


def check(model: Model, parameters: Tensors, patches: Tensor, result: Tensors) -> None:
    """Stops unless the references agree with each other and with differences of the features."""
    direction = {name: result["direction." + name] for name in parameters}

    def moved(step: float) -> Tensor:
        return model.features({name: value + step * direction[name] for name, value in parameters.items()}, patches)

    def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
        distance = (found - expected).norm() / expected.norm()
        assert distance < tolerance, distance

    assert_close((moved(1e-4) - moved(-1e-4)) / 2e-4, result["tangent"], 1e-6)
    forward = (result["cotangent"] * result["tangent"]).sum()
    backward = sum((result["gradient." + name] * direction[name]).sum() for name in parameters)
    assert_close(backward, forward, 1e-12)
    for name, value in result.items():
        if name.startswith("sample_gradient."):
            assert_close(value.sum(0), result[name.removeprefix("sample_")], 1e-12)
        if name.endswith(".output_grad"):
            layer = name.removesuffix(".output_grad")
            assert_close(value.T @ result[layer + ".input"], result[f"gradient.{layer}.weight"], 1e-12)


def make_references(base: Tensors, config: dict[str, int]) -> Tensors:
    frozen = {name: value for name, value in base.items() if name.startswith(("patch.", "pos_embed"))}
    parameters = {name: base[name] for name in sorted(base) if name not in frozen}
    model = Model(config, frozen)
    images = make_images()
    patches = model.embed(images)

    generator = np.random.default_rng(SEED)
    direction = {name: draw(generator, value.shape, max(0.01, 0.05 * value.std().item()))
                 for name, value in parameters.items()}
    features, tangent = jvp(lambda p: model.features(p, patches), (parameters,), (direction,))
    cotangent = draw(generator, features.shape, 1)
    _, pull_back = vjp(lambda p: model.features(p, patches), parameters)
    gradient, = pull_back(cotangent)

    result = {"images": images, "features": features, "tangent": tangent, "cotangent": cotangent}
    result |= {"direction." + name: value for name, value in direction.items()}
    result |= {"gradient." + name: value for name, value in gradient.items()}

    def sample_value(p: Tensors, sample: Tensor, u: Tensor) -> Tensor:
        return (model.features(p, sample[None])[0] * u).sum()

    sample_gradient = vmap(grad(sample_value), (None, 0, 0))(parameters, patches, cotangent)
    layer_biases = {name for name in parameters
                    if name.endswith(".bias") and parameters[name.removesuffix("bias") + "weight"].dim() == 2}
    for name, value in parameters.items():
        if value.dim() == 1 and name not in layer_biases:
            result["sample_gradient." + name] = sample_gradient[name]

    inputs: Tensors = {}
    model.features(parameters, patches, inputs=inputs)
    last = f"blocks.{model.depth - 1}."
    layers = [last + "qkv", last + "proj", last + "fc1", last + "fc2", "lin_proj"]
    offsets = {layer: torch.zeros(*inputs[layer].shape[:-1], len(parameters[layer + ".weight"]), dtype=torch.float64)
               for layer in layers}
    _, pull_back = vjp(lambda o: model.features(parameters, patches, offsets=o), offsets)
    output_grad, = pull_back(cotangent)
    for layer in layers:
        result[layer + ".input"] = inputs[layer].flatten(0, -2)
        result[layer + ".output_grad"] = output_grad[layer].flatten(0, -2)

    check(model, parameters, patches, result)
    return {name: value.detach().contiguous() for name, value in result.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write float64 references for the reference model.")
    parser.add_argument("base", help="the checkpoint of the small example, base.safetensors")
    parser.add_argument("output", help="the file to write")
    arguments = parser.parse_args()
    with safe_open(arguments.base, "pt") as file:
        config = json.loads(file.metadata()["cfg"])
    base = {name: value.double() for name, value in load_file(arguments.base).items()}
    save_file(make_references(base, config), arguments.output, {"cfg": json.dumps(config, sort_keys=True)})


if __name__ == "__main__":
    main()
