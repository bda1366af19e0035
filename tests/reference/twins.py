"""Vectorised oracles: whole networks as numpy matrices, one row a node, straight from the papers' formulas.

W is the mixing matrix, X [nodes, d] the models, ``gradient(X)`` the stacked gradients. A trajectory is
[rounds + 1, nodes, d]. ``rates`` holds the learning rate of each round.
"""

from collections.abc import Callable, Sequence

import numpy as np

Gradient = Callable[[np.ndarray], np.ndarray]


def gossip(
    w: np.ndarray,
    gradient: Gradient,
    start: np.ndarray,
    rates: Sequence[float],
    *,
    order: str = "adapt_then_combine",
    local_steps: int = 1,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> np.ndarray:
    """D-PSGD: X <- W Y (adapt then combine) or X <- W X + (Y - X), where Y is X after the local steps.

    A local step: g <- G(Y) + wd Y; M <- momentum M + g; Y <- Y - eta M, or Y - eta (g + momentum M) with Nesterov.
    """
    x, buffer, path = start.copy(), np.zeros_like(start), [start.copy()]
    for eta in rates:
        y = x.copy()
        for _ in range(local_steps):
            g = gradient(y) + weight_decay * y
            buffer = momentum * buffer + g
            y = y - eta * (g + momentum * buffer if nesterov else buffer)
        x = w @ y if order == "adapt_then_combine" else w @ x + (y - x)
        path.append(x.copy())
    return np.stack(path)


def quasi_global(
    w: np.ndarray,
    gradient: Gradient,
    start: np.ndarray,
    rates: Sequence[float],
    *,
    beta: float,
    mu: float,
    nesterov: bool,
    local_steps: int = 1,
    weight_decay: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """QG-DSGDm(-N), adapt then combine; returns the trajectory and the buffers after the last round.

    u = beta m + g; a step goes along u, or along g + beta u with Nesterov; then Y is mixed, and
    m <- mu m + (1 - mu) (X_before - X_after) / (eta H).
    """
    x, m, path = start.copy(), np.zeros_like(start), [start.copy()]
    for eta in rates:
        y = x.copy()
        for _ in range(local_steps):
            g = gradient(y) + weight_decay * y
            u = beta * m + g
            y = y - eta * (g + beta * u if nesterov else u)
        after = w @ y
        m = mu * m + (1 - mu) * (x - after) / (eta * local_steps)
        x = after
        path.append(x.copy())
    return np.stack(path), m


def adapt_then_combine_fixed_point(w: np.ndarray, targets: np.ndarray, eta: float) -> np.ndarray:
    """X = W (X - eta (X - B)), so X = (I - (1 - eta) W)^-1 eta W B."""
    return np.linalg.solve(np.eye(len(w)) - (1 - eta) * w, eta * w @ targets)


def combine_then_adapt_fixed_point(w: np.ndarray, targets: np.ndarray, eta: float) -> np.ndarray:
    """X = W X - eta (X - B), so X = ((1 + eta) I - W)^-1 eta B."""
    return np.linalg.solve((1 + eta) * np.eye(len(w)) - w, eta * targets)


def best_threshold(inside: np.ndarray, outside: np.ndarray) -> float:
    """Youden's J at its best, by trying every threshold: max over t of P(inside > t) - P(outside > t)."""
    candidates = np.concatenate([[-np.inf], inside, outside])
    return max(youden(inside, outside, t) for t in candidates)


def youden(inside: np.ndarray, outside: np.ndarray, threshold: float) -> float:
    """P(inside > threshold) - P(outside > threshold)."""
    return float((inside > threshold).mean() - (outside > threshold).mean())


def merged_labels(tables: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[int, np.ndarray]:
    """For each public position in any of the tables (positions [M], labels [M, classes]): the mean of its labels."""
    found: dict[int, list[np.ndarray]] = {}
    for positions, labels in tables:
        for position, label in zip(positions.tolist(), labels.astype(np.float64), strict=True):
            found.setdefault(position, []).append(label)
    return {position: np.mean(rows, axis=0) for position, rows in sorted(found.items())}


def batches(order: Callable[[int], np.ndarray], size: int) -> Callable[[], np.ndarray]:
    """An endless stream: the passes ``order(0)``, ``order(1)``, ... end to end, cut into pieces of ``size``."""
    waiting: list[int] = []
    epoch = 0

    def take() -> np.ndarray:
        nonlocal epoch
        while len(waiting) < size:
            waiting.extend(order(epoch).tolist())
            epoch += 1
        piece, waiting[:] = waiting[:size], waiting[size:]
        return np.array(piece)

    return take
