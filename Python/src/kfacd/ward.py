"""Clusters of weighted points by Ward's criterion: those join whose squared distances to their means grow least.

Source: Ward 1963, Hierarchical grouping to optimize an objective function; Murtagh & Contreras 2012, Algorithms for
hierarchical clustering (the chain of nearest neighbours).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class _Join(NamedTuple):
    growth: float
    first: int
    second: int


def ward_clusters(points: Tensor, masses: Tensor, counts: Tensor, most: int, least: int) -> list[list[int]]:
    """The points of each cluster, ascending; clusters in the order of their first points.

    Args:
        points: [n, width] in fp64, at least one.
        masses: The positive mass of each point, [n].
        counts: What each point stands for, [n].
        most: The most clusters.
        least: The least that a cluster stands for, unless there is only one.
    """
    owners = list(range(len(points)))

    def owner(point: int) -> int:
        while owners[point] != point:
            point = owners[point]
        return point

    sizes, number = [int(count) for count in counts], len(points)
    for join in sorted(_joins(points, masses), key=lambda join: join.growth):
        first, second = owner(join.first), owner(join.second)
        if number <= most and min(sizes[first], sizes[second]) >= least:
            continue
        owners[second] = first
        sizes[first] += sizes[second]
        number -= 1
    members: dict[int, list[int]] = {}
    for point in range(len(points)):
        members.setdefault(owner(point), []).append(point)
    return sorted(members.values())


def _joins(points: Tensor, masses: Tensor) -> list[_Join]:
    """All joins, in the order in which the chain finds them; the first of two places keeps the cluster."""
    count, mass = len(points), masses.double().numpy().copy()
    growths = torch.cdist(points, points).square().numpy() * (np.outer(mass, mass) / np.add.outer(mass, mass))
    np.fill_diagonal(growths, np.inf)
    present, joins = np.ones(count, dtype=bool), list[_Join]()
    chain: list[int] = []
    while len(joins) + 1 < count:
        if not chain:
            chain = [int(present.argmax())]
        last = chain[-1]
        row = growths[last]
        nearest = int(row.argmin())
        if len(chain) > 1 and row[chain[-2]] <= row[nearest]:
            nearest = chain[-2]
        if len(chain) < 2 or nearest != chain[-2]:
            chain.append(nearest)
            continue
        del chain[-2:]
        first, second = min(last, nearest), max(last, nearest)
        own = growths[first, second]
        joins.append(_Join(float(own), first, second))
        present[second] = False
        # The formula of Lance and Williams.
        left, right = mass[first], mass[second]
        with np.errstate(invalid="ignore"):
            joined = (left + mass) * growths[first] + (right + mass) * growths[second] - mass * own
            joined = np.maximum(0, joined / (left + right + mass))
        joined[~present] = np.inf
        joined[first] = np.inf
        growths[first] = growths[:, first] = joined
        growths[second] = growths[:, second] = np.inf
        mass[first] = left + right
    return joins
