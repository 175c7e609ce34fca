"""Groups of layers whose sums fit a device's memory."""

from __future__ import annotations

from .calls import Layer, Normalization
from .errors import MemoryLimitError, listed
from .selection import Watched
from .sums import Sum


def grouped(watched: list[Watched], memory: int | None, passes: bool) -> list[list[Watched]]:
    """Groups whose sums fit the memory, in the model's order.

    Raises:
        MemoryLimitError: One layer does not fit, or there are several groups and `passes` is not set.
    """
    if memory is None:
        return [watched]
    # Modules that share a layer stay together.
    units: dict[int, list[Watched]] = {}
    for each in watched:
        units.setdefault(id(each.blocks[0]), []).append(each)
    sizes = {key: sum(_byte_count(block) for block in unit[0].blocks) for key, unit in units.items()}
    if too_large := [units[key][0].path for key, size in sizes.items() if size > memory]:
        largest = max(sizes.values())
        raise MemoryLimitError(
            f"memory={memory}: the sums of {listed(too_large)} alone need up to {largest} bytes. Give more memory, "
            'sum only a diagonal, as in diagonal="*.lm_head.B", or leave the layer out.'
        )
    groups: list[list[Watched]] = [[]]
    room = memory
    for key, unit in units.items():
        if sizes[key] > room:
            groups.append([])
            room = memory
        groups[-1] += unit
        room -= sizes[key]
    if len(groups) > 1 and not passes:
        raise MemoryLimitError(
            f"memory={memory}: the sums need {sum(sizes.values())} bytes, which is {len(groups)} passes over the data. "
            "Set passes=True and loop over passes(), give more memory, or choose fewer layers."
        )
    return groups


def _byte_count(block: Layer | Normalization) -> int:
    if isinstance(block, Normalization):
        return len(block.names) * Sum.byte_count(1, block.size, False)
    groups = len(block.names)
    return Sum.byte_count(groups, block.input_size, block.input_diagonal) + Sum.byte_count(
        groups, block.output_size, block.output_diagonal
    )
