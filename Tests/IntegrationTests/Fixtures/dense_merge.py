"""The merge `kfac` in float64 by one dense solve for each layer, over the elements as a checkpoint stores them."""

import re

import numpy as np

Arrays = dict[str, np.ndarray]

DAMPING = 0.1


def is_buffer(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def elements(base: Arrays, layer: str, is_transposed: bool) -> dict[str, np.ndarray]:
    """Where a layer's elements are: indices of the flat weight [d_out, d_in], and of the flat bias [d_out]."""
    module, expert, rows = re.fullmatch(r"(.*?)(\[\d+\])?(\[\d+:\d+\])?", layer).groups()
    weight = next(name for name in (module + ".weight", module + "_weight", module) if name in base)
    bias = next((name for name in (module + ".bias", module + "_bias") if name in base), None)
    result = {}
    for name in [weight] if bias is None else [weight, bias]:
        places = np.arange(base[name].size).reshape(base[name].shape)
        if expert:
            places = places[int(expert[1:-1])]
        if name == weight:
            places = places.reshape(len(places), -1)
            places = places.T if is_transposed else places
        if rows:
            first, end = map(int, rows[1:-1].split(":"))
            places = places[first:end]
        result[name] = places
    return result


def merged_block(deltas: list[np.ndarray], sides: list[tuple[np.ndarray, np.ndarray]],
                 shares: np.ndarray) -> np.ndarray:
    """The solution Δ of (B̂ ⊗ Â) vec Δ = Σ λ_t (B̂_t ⊗ Â_t) vec Δ_t, with the damping of the means on both sides.

    An input or an output without curvature in any task, as a unit that never fires, keeps the weighted mean.
    """
    a = sum(share * own[0] for share, own in zip(shares, sides))
    b = sum(own[1] for own in sides) / len(sides)
    gamma_a, gamma_b = (DAMPING * np.trace(mean) / len(mean) for mean in (a, b))
    inputs, outputs = a.diagonal() > 0, b.diagonal() > 0

    def operator(own_a: np.ndarray, own_b: np.ndarray) -> np.ndarray:
        live_a, live_b = own_a[np.ix_(inputs, inputs)], own_b[np.ix_(outputs, outputs)]
        return np.kron(live_b + gamma_b * np.eye(len(live_b)), live_a + gamma_a * np.eye(len(live_a)))

    live = np.ix_(outputs, inputs)
    right = sum(share * operator(*own) @ delta[live].ravel() for share, own, delta in zip(shares, sides, deltas))
    result = sum(share * delta for share, delta in zip(shares, deltas))
    result[live] = np.linalg.solve(operator(a, b), right).reshape(result[live].shape)
    return result


def merge(base: Arrays, tuned: list[Arrays], factors: list[Arrays], samples: list[int], layers: list[str],
          transposed: set[str]) -> Arrays:
    """θ₀ + Δ; λ_t is the share of a task's samples, among the tasks that have curvature in the layer."""
    all_shares = np.array(samples) / sum(samples)
    names = [name for name in base if not is_buffer(name)]
    vectors = [{name: (own[name] - base[name]).ravel() for name in names} for own in tuned]
    delta = {name: sum(share * own[name] for share, own in zip(all_shares, vectors)) for name in names}

    def present(name: str) -> list[int]:
        return [task for task, own in enumerate(factors) if name in own]

    for layer in layers:
        tasks = present(layer + ".A")
        if not tasks:
            continue
        sides = [(factors[task][layer + ".A"], factors[task][layer + ".B"]) for task in tasks]
        shares = all_shares[tasks] / all_shares[tasks].sum()
        places = elements(base, layer, layer in transposed)
        deltas = [np.hstack([own[name][places[name]].reshape(len(sides[0][1]), -1) for name in places])
                  for own in (vectors[task] for task in tasks)]
        solution = merged_block(deltas, sides, shares)
        column = 0
        for name, own in places.items():
            width = own.size // len(own)
            delta[name][own] = solution[:, column:column + width].reshape(own.shape)
            column += width
    for name in names:
        if tasks := present(name + ".F"):
            shares = all_shares[tasks] / all_shares[tasks].sum()
            blocks = [factors[task][name + ".F"] for task in tasks]
            mean = sum(share * block for share, block in zip(shares, blocks))
            gamma = DAMPING * np.trace(mean) / len(mean) * np.eye(len(mean))
            right = sum(share * (block + gamma) @ vectors[task][name]
                        for share, block, task in zip(shares, blocks, tasks))
            delta[name] = np.linalg.solve(mean + gamma, right)
    return {name: base[name] + delta[name].reshape(base[name].shape) if name in delta else base[name] for name in base}
