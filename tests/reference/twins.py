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


def gradient_tracking(
    w: np.ndarray,
    gradient: Gradient,
    start: np.ndarray,
    rates: Sequence[float],
    *,
    order: str = "adapt_then_combine",
    strength: float = 1.0,
    weight_decay: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """DIGing, X <- W X - eta Y, or X <- W (X - eta Y); returns the trajectories of X and Y; one W, or one a round.

    Y = G in the first round, then Y <- W_previous Y + G - G_previous. With a ``strength`` below 1, a step goes along
    (1 - strength) G + strength Y.
    """
    x, path, trackers = start, [start], []
    mixed_y = g_before = np.zeros_like(start)
    for eta, mix in zip(rates, np.broadcast_to(w, (len(rates), *w.shape[-2:])), strict=True):
        g = gradient(x) + weight_decay * x
        y = mixed_y + g - g_before
        step = eta * ((1 - strength) * g + strength * y)
        x = mix @ (x - step) if order == "adapt_then_combine" else mix @ x - step
        mixed_y, g_before = mix @ y, g
        path.append(x)
        trackers.append(y)
    return np.stack(path), np.stack(trackers)


def k_gradient_tracking(
    w: np.ndarray, gradient: Gradient, start: np.ndarray, rates: Sequence[float], local_steps: int
) -> np.ndarray:
    """K-GT with a server rate of 1: K steps Y <- Y - eta (G(Y) + C) from Y = X, then D = (X - Y) / (K eta),
    C <- C - D + W D and X <- W (X - K eta D).
    """
    x, c, path = start, np.zeros_like(start), [start]
    for eta in rates:
        y = x
        for _ in range(local_steps):
            y = y - eta * (gradient(y) + c)
        moved = (x - y) / (local_steps * eta)
        c = c - moved + w @ moved
        x = w @ (x - local_steps * eta * moved)
        path.append(x)
    return np.stack(path)


def d2(
    w: np.ndarray,
    gradient: Gradient,
    start: np.ndarray,
    rates: Sequence[float],
    *,
    strength: float = 1.0,
    local_steps: int = 1,
    momentum: float = 0.0,
) -> np.ndarray:
    """X1 = W (X0 + U0), then X_next = W (X + U + strength (X - X_previous - U_previous)).

    U is what the local steps with momentum add to X: -eta G for a single one without.
    """
    x, path = start, [start]
    x_before, u_before, buffer = start, np.zeros_like(start), np.zeros_like(start)
    for eta in rates:
        y = x
        for _ in range(local_steps):
            buffer = momentum * buffer + gradient(y)
            y = y - eta * buffer
        u = y - x
        after = w @ (x + u + strength * (x - x_before - u_before))
        x, x_before, u_before = after, x, u
        path.append(x)
    return np.stack(path)


def global_update_tracking(
    w: np.ndarray,
    gradient: Gradient,
    start: np.ndarray,
    rates: Sequence[float],
    *,
    mu: float,
    beta: float,
    local_steps: int = 1,
) -> np.ndarray:
    """GUT and QG-GUTm as the released code has them, from nodes that begin alike; returns W X.

    U = W X - X; D = G - U / e, with G the mean gradient of the local steps from W X and e = eta H;
    Y = D + mu (W M_before - (1 + beta) U_before / e_before - D_before); M = beta M_before + Y; X <- X - e M.
    """
    x, path = start, [start]
    m, u, d, e = np.zeros_like(start), np.zeros_like(start), np.zeros_like(start), 1.0
    for eta in rates:
        mixed = w @ x
        tracked = w @ m - (1 + beta) * u / e - d
        u, e, steps = mixed - x, eta * local_steps, mixed
        direction = beta * m + mu * tracked
        gradients = []
        for _ in range(local_steps):
            gradients.append(gradient(steps))
            steps = steps - eta * (gradients[-1] + direction)
        d = np.mean(gradients, axis=0) - u / e
        m = beta * m + d + mu * tracked
        x = x - e * m
        path.append(w @ x)
    return np.stack(path)


def exact_diffusion(w: np.ndarray, gradient: Gradient, start: np.ndarray, rates: Sequence[float]) -> np.ndarray:
    """Adapt: psi = X - eta G; correct: phi = psi + X - psi_previous; combine: X = (W + I) / 2 phi."""
    x, psi_before, path = start, start, [start]
    for eta in rates:
        psi = x - eta * gradient(x)
        x, psi_before = (w + np.eye(len(w))) / 2 @ (psi + x - psi_before), psi
        path.append(x)
    return np.stack(path)


def push_sum(
    matrices: Sequence[np.ndarray], gradient: Gradient, start: np.ndarray, eta: float
) -> tuple[np.ndarray, np.ndarray]:
    """SGP with one column-stochastic matrix a round; returns the models Z and the weights [rounds + 1, nodes].

    X <- P (X - eta G(Z)); v <- P v; Z = X / v.
    """
    x, v = start.copy(), np.ones(len(start))
    path, weights = [start.copy()], [v]
    for p in matrices:
        x, v = p @ (x - eta * gradient(path[-1])), p @ v
        path.append(x / v[:, None])
        weights.append(v)
    return np.stack(path), np.stack(weights)


def relay_sum(
    hops: np.ndarray, gradient: Gradient, start: np.ndarray, eta: float, rounds: int, *, fill: str = "own"
) -> np.ndarray:
    """RelaySGD without messages: what is d hops away arrives d - 1 rounds late, and before that the fill stands for it.

    x_i(t + 1) = mean over j of y_j(t + 1 - max(hops_ij, 1)), with y(t) = x(t) - eta G(x(t)), and y_i(t) (or x_i(0))
    where that round is before the first.
    """
    n, path, sent = len(start), [start.copy()], []
    for t in range(rounds):
        sent.append(path[-1] - eta * gradient(path[-1]))
        stand_in = sent[-1] if fill == "own" else start
        when = t + 1 - np.maximum(hops, 1).astype(int)
        rows = [[sent[when[i, j]][j] if when[i, j] >= 0 else stand_in[i] for j in range(n)] for i in range(n)]
        path.append(np.mean(rows, axis=1))
    return np.stack(path)


def choco(
    w: np.ndarray,
    gradient: Gradient,
    start: np.ndarray,
    rates: Sequence[float],
    *,
    gamma: float,
    code: Callable[[np.ndarray, int, int], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """CHOCO-SGD, algorithm 2 of arXiv:1902.00340; returns the trajectory and the last replicas.

    Y = X - eta G(X); R <- R + C(Y - R); X <- Y + gamma (W - I) R, with the replicas R starting at 0. ``code`` is given
    a row, the node and the round.
    """
    x, replicas, path = start.copy(), np.zeros_like(start), [start.copy()]
    for t, eta in enumerate(rates):
        y = x - eta * gradient(x)
        replicas = replicas + np.stack([code(row, i, t) for i, row in enumerate(y - replicas)])
        x = y + gamma * (w @ replicas - replicas)
        path.append(x.copy())
    return np.stack(path), replicas


def ada_gossip(
    w: np.ndarray,
    gradient: Gradient,
    start: np.ndarray,
    rates: Sequence[float],
    *,
    gamma: float,
    beta: float,
    code: Callable[[np.ndarray, int, int], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """AdaG-SGD; returns the trajectory and the last second moments V.

    Y and R are CHOCO-SGD's; D = W R - R; V <- beta V + (1 - beta) D^2; X <- Y + min(1, gamma / (sqrt(V / (1 - beta^t))
    + 1e-8)) D, entry by entry, t counted from 1.
    """
    x, replicas, v, path = start.copy(), np.zeros_like(start), np.zeros_like(start), [start.copy()]
    for t, eta in enumerate(rates):
        y = x - eta * gradient(x)
        replicas = replicas + np.stack([code(row, i, t) for i, row in enumerate(y - replicas)])
        error = w @ replicas - replicas
        v = beta * v + (1 - beta) * error**2
        x = y + np.minimum(1, gamma / (np.sqrt(v / (1 - beta ** (t + 1))) + 1e-8)) * error
        path.append(x.copy())
    return np.stack(path), v


def largest(v: np.ndarray, k: int) -> np.ndarray:
    """The k entries of largest magnitude, the others 0."""
    return np.where(np.abs(v) >= np.sort(np.abs(v))[-k], v, 0)


def chosen(v: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """k random entries, the others 0."""
    indices = np.random.default_rng(int(random.integers(2**63))).choice(len(v), k, replace=False, shuffle=False)
    return np.where(np.isin(np.arange(len(v)), indices), v, 0)


def mean_signs(v: np.ndarray) -> np.ndarray:
    """||v||_1 / d sign(v)."""
    return np.abs(v).sum() / len(v) * np.where(v < 0, -1, 1)


def damped_qsgd(v: np.ndarray, bits: int, random: np.random.Generator) -> np.ndarray:
    """sign(v) ||v|| / (s t) floor(s |v| / ||v|| + u); s = 2^(bits - 1) - 1 and t = 1 + min(d / s^2, sqrt(d) / s)."""
    s, d, norm = 2 ** (bits - 1) - 1, len(v), np.sqrt((v**2).sum())
    levels = np.floor(s * np.abs(v) / norm + random.random(d))
    return np.sign(v) * norm / (s * (1 + min(d / s**2, np.sqrt(d) / s))) * levels
