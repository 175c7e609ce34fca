"""Joint rows of a block, and what it adds to the form Ω(Δ) = Σ_rs X_rs².

X_rs = Σ_ℓ Σ_p v_{s,ℓ,p}ᵀ Δ_ℓ u_{r,ℓ,p}: the sum over blocks and positions is within the square. Source:
Sources/DESIGN.md, section 2.2, joint form.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

#: Elements of products that are made at once.
_CHUNK_ELEMENTS = 1 << 24


class JointRows:
    """The rows u_r and v_s of one block with Δ of [d_out, d_in].

    A parameter outside layers is a block of one position and d_in = 1, whose input is the constant of each u_r.
    """

    def __init__(self, inputs: torch.Tensor, gradients: torch.Tensor, rows: float | None = None) -> None:
        """Takes u and v, which follow Δ's device and type when they are first used.

        Args:
            inputs: u, [k_A, P, d_in].
            gradients: v, [k_B, P, d_out].
            rows: The rows of a sample, by which A divides; none for P, which it is unless positions are pooled.
        """
        self.inputs = inputs
        self.gradients = gradients
        self.rows = float(inputs.shape[1]) if rows is None else rows

    def pairs(self, delta: torch.Tensor) -> torch.Tensor:
        """The block's part of X, [k_B, k_A]."""
        self.inputs, self.gradients = self.inputs.to(delta), self.gradients.to(delta)
        pairs = delta.new_empty(self.gradients.shape[0], self.inputs.shape[0])
        for part in self._parts():
            drifts = self.inputs[part] @ delta.T
            pairs[:, part] = self.gradients.flatten(1) @ drifts.flatten(1).T
        return pairs

    def product(self, pairs: torch.Tensor) -> torch.Tensor:
        """Half of Ω's gradient in the block, Σ_rs X_rs Σ_p v_{s,p} u_{r,p}ᵀ, [d_out, d_in].

        Args:
            pairs: X of all blocks, in the device and the type of the rows.
        """
        width = self.gradients.shape[2]
        product = pairs.new_zeros(width, self.inputs.shape[2])
        for part in self._parts():
            combined = (pairs[:, part].T @ self.gradients.flatten(1)).reshape(-1, width)
            product.addmm_(combined.T, self.inputs[part].flatten(0, 1))
        return product

    def trace(self, side: str) -> float:
        """The trace of what the rows hold of A, B or F, as `inside` has it."""
        inputs, gradients = (float(rows.double().square().sum()) for rows in (self.inputs, self.gradients))
        return {"A": inputs / self.rows, "B": gradients, "F": inputs * gradients}[side]

    def inside(self, delta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the rows hold of A and B: A_in = Σ_r Σ_p u uᵀ / rows and B_in = Σ_s Σ_p v vᵀ, as Δ's device and type.

        They are subtracted from factors that are almost equal, so they are summed in fp64.
        """
        return (_gram(self.inputs, delta).div_(self.rows).to(delta), _gram(self.gradients, delta).to(delta))

    def _parts(self) -> Iterator[slice]:
        """Parts of u whose products with Δ fit the memory."""
        count, positions = self.inputs.shape[:2]
        step = max(1, _CHUNK_ELEMENTS // (positions * self.gradients.shape[2]))
        for first in range(0, count, step):
            yield slice(first, min(first + step, count))


def _gram(rows: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    # Apple's devices have no fp64.
    device = torch.device("cpu") if delta.device.type == "mps" else delta.device
    width = rows.shape[2]
    total = torch.zeros(width, width, dtype=torch.float64, device=device)
    for part in rows.reshape(-1, width).split(max(1, _CHUNK_ELEMENTS // width)):
        wide = part.to(device).double()
        total.addmm_(wide.T, wide)
    return total
