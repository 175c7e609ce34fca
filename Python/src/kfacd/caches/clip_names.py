"""Names of CLIP's vision tower in the two codes of task arithmetic, and in its checkpoints.

Both codes replace ``nn.MultiheadAttention`` by modules whose inputs hooks see, and store their own names.

========================  ==========================  =====================
checkpoint (layer)        mammoth                     merge-and-rebase
========================  ==========================  =====================
``attn.in_proj``          ``attn.qkv`` (fused)        three blocks, below
``attn.in_proj[0:d]``                                 ``attn.q_proj``
``attn.in_proj[d:2d]``                                ``attn.k_proj``
``attn.in_proj[2d:3d]``                               ``attn.v_proj``
``attn.out_proj``         ``attn.proj``               ``attn.out_proj``
``proj`` (``in_out``)     ``lin_proj`` (transposed)   ``proj``
``class_embedding``       ``cls_token_layer.class_…`` ``class_embedding``
========================  ==========================  =====================
"""

from __future__ import annotations

import re

PROJECTION = "proj"
_SPLIT = re.compile(r"^(?P<stem>.*\battn)\.(?P<which>[qkv])_proj$")
_PART = re.compile(r"^(?P<stem>.*)\[(?P<start>\d+):(?P<end>\d+)\]$")


def layer_from_mammoth(name: str) -> str:
    """A layer's name in a checkpoint."""
    if name == "lin_proj":
        return PROJECTION
    return re.sub(r"\battn\.proj$", "attn.out_proj", re.sub(r"\battn\.qkv$", "attn.in_proj", name))


def layer_to_mammoth(name: str) -> str:
    """A layer's name in mammoth's cache."""
    if name == PROJECTION:
        return "lin_proj"
    return re.sub(r"\battn\.out_proj$", "attn.proj", re.sub(r"\battn\.in_proj$", "attn.qkv", name))


def parameter_from_mammoth(name: str) -> str:
    """A parameter's name in a checkpoint."""
    return name.removeprefix("cls_token_layer.") if name.endswith("class_embedding") else name


def parameter_to_mammoth(name: str) -> str:
    """A parameter's name in mammoth's cache."""
    return "cls_token_layer.class_embedding" if name == "class_embedding" else name


def layer_from_split(name: str, outputs: int) -> str:
    """A layer's name in a checkpoint, from a code that splits the fused projection into three of d outputs each."""
    match = _SPLIT.match(name)
    if match is None:
        return name
    start = "qkv".index(match["which"]) * outputs
    return f"{match['stem']}.in_proj[{start}:{start + outputs}]"


def part(name: str) -> tuple[str, int, int] | None:
    """The fused layer of a part ``L[a:b]``, and its output rows; None for a whole layer."""
    match = _PART.match(name)
    return None if match is None else (match["stem"], int(match["start"]), int(match["end"]))
