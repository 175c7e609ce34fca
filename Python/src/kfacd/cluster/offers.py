"""What is offered to a coordinator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where pushed sums belong."""

    run: str
    rank: int
    sequence: int

    def __str__(self) -> str:
        """The words for it."""
        return f'rank {self.rank}, sequence {self.sequence} of run "{self.run}"'


@dataclass(frozen=True)
class RowSum:
    """One sum of outer products, of which the rows are streamed."""

    tensors: tuple[str, ...]
    """The tensors of the file that are this sum: layers with the same input share one."""
    columns: int
    """Elements of a row, without the one of a bias."""
