"""The vision transformers and residual networks of timm, torchvision and open_clip, in small sizes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from architectures import VOCABULARY, adapted, by_keyword, images, same, stacked
from reference import Case, Sample
from torch import Tensor, nn


class PlainAttention(nn.Module):
    """What `nn.MultiheadAttention` computes, with a module for each projection."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        size = attention.embed_dim
        self.heads, self.batch_first = attention.num_heads, attention.batch_first
        self.in_proj, self.out_proj = nn.Linear(size, 3 * size), nn.Linear(size, size)
        state = {key.replace("in_proj_", "in_proj."): value for key, value in attention.state_dict().items()}
        self.load_state_dict(state)

    def forward(self, x: Tensor, *_: Tensor, attn_mask: Tensor | None = None, **__: Any) -> tuple[Tensor, None]:
        x = x if self.batch_first else x.transpose(0, 1)
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in self.in_proj(x).chunk(3, -1))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        weights = torch.softmax(scores if attn_mask is None else scores + attn_mask, -1)
        output: Tensor = self.out_proj((weights @ v).transpose(1, 2).flatten(2))
        return (output if self.batch_first else output.transpose(0, 1)), None


def with_plain_attention(model: nn.Module) -> nn.Module:
    """A copy whose attention computes with modules that hooks see."""
    plain = copy.deepcopy(model)
    for name, module in list(plain.named_modules()):
        if isinstance(module, nn.MultiheadAttention):
            plain.set_submodule(name, PlainAttention(module))
    return plain


def with_varied_statistics(model: nn.Module) -> nn.Module:
    """Gives normalisations other parameters and statistics than those of a new model."""
    for name, tensor in model.state_dict().items():
        if "running" in name or (tensor.dim() == 1 and tensor.is_floating_point()):
            tensor.uniform_(0.5, 1.5)
    return model


def linear_names(model: nn.Module, start: str = "") -> list[str]:
    kinds = (nn.Linear, nn.Conv2d)
    return [name for name, module in model.named_modules() if isinstance(module, kinds) and name.startswith(start)]


def timm_transformer() -> Case:
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(
        img_size=8, patch_size=4, embed_dim=8, depth=2, num_heads=2, mlp_ratio=1.5, num_classes=3, qkv_bias=True
    )
    parameters = {"norm.weight": "norm", "norm.bias": "norm", "blocks.1.norm1.bias": "blocks.1.norm1"}
    options = {"parameters": list(parameters)}
    names = same(*linear_names(model))
    assert {"patch_embed.proj", "blocks.0.attn.qkv", "blocks.1.mlp.fc2", "head"} < names.keys()
    return Case(model, images(), by_keyword, stacked, names, options, parameters=parameters)


def torchvision_transformer() -> Case:
    from torchvision.models import VisionTransformer

    model = VisionTransformer(
        image_size=8, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=12, num_classes=3
    )
    # A new model's head is zero, so nothing else would have a gradient.
    nn.init.normal_(model.heads.head.weight)
    plain = with_plain_attention(model)
    parameters = {"encoder.ln.weight": "encoder.ln", "encoder.ln.bias": "encoder.ln"}
    options = {"parameters": list(parameters)}
    names = same(*linear_names(plain))
    assert {"conv_proj", "encoder.layers.encoder_layer_1.self_attention.in_proj", "heads.head"} < names.keys()
    return Case(model, images(), by_keyword, stacked, names, options, plain, parameters=parameters)


def torchvision_residual_network() -> Case:
    from torchvision.models.resnet import Bottleneck, ResNet

    model = with_varied_statistics(ResNet(Bottleneck, [1, 1, 1, 1], num_classes=3, groups=2, width_per_group=2))
    names = same("conv1", "layer1.0.conv2", "layer2.0.downsample.0", "fc")
    parameters = {"bn1.weight": "bn1", "layer1.0.bn2.bias": "layer1.0.bn2"}
    options = {"layers": list(names), "parameters": list(parameters)}
    return Case(model, images(size=32), by_keyword, stacked, names, options, parameters=parameters)


def clip() -> Any:
    from open_clip.model import CLIP

    vision = {"layers": 2, "width": 8, "head_width": 4, "patch_size": 4, "image_size": 8, "mlp_ratio": 1.5}
    text = {"context_length": 6, "vocab_size": VOCABULARY, "width": 8, "heads": 2, "layers": 1}
    return CLIP(embed_dim=5, vision_cfg=vision, text_cfg=text)


def clip_images() -> Case:
    def forward(model: Any, sample: Sample) -> Tensor:
        output: Tensor = model.encode_image(sample["x"].to(model.logit_scale.dtype))
        return output

    model = clip()
    plain = with_plain_attention(model)
    names = same(*linear_names(plain, "visual."))
    assert "visual.transformer.resblocks.1.attn.in_proj" in names
    parameters = {"visual.ln_post.weight": "visual.ln_post", "visual.ln_pre.bias": "visual.ln_pre"}
    options = {"layers": "visual.*", "parameters": list(parameters)}
    return Case(model, images(), forward, stacked, names, options, plain, parameters=parameters)


def clip_texts() -> Case:
    def forward(model: Any, sample: Sample) -> Tensor:
        output: Tensor = model.encode_text(sample["input_ids"])
        return output

    model = clip()
    plain = with_plain_attention(model)
    samples = [{"input_ids": torch.randint(0, VOCABULARY, (1, 6))} for _ in range(4)]
    names = same("token_embedding", *linear_names(plain, "transformer."))
    assert "transformer.resblocks.0.attn.in_proj" in names
    options = {"layers": ["transformer.*", "token_embedding"], "parameters": ["ln_final.weight"]}
    parameters = {"ln_final.weight": "ln_final"}
    return Case(model, samples, forward, stacked, names, options, plain, parameters=parameters)


LIBRARIES = {
    "timm, transformer": timm_transformer,
    "torchvision, transformer": torchvision_transformer,
    "torchvision, residual network": torchvision_residual_network,
    "PEFT, timm": lambda: adapted(timm_transformer(), "qkv", "fc1"),
    "open_clip, images": clip_images,
    "open_clip, texts": clip_texts,
}
