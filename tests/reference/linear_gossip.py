"""The pairwise account written out: every message as a row over all sources of noise, one dense pseudo-inverse."""

import numpy as np


def exposure(rounds, independent, correlated, hears, inside):
    """M_u of every node, float64 [n, T, T], for an observer.

    Args:
        rounds: (W, active, injects, scale) of each round.
        independent: standard deviation of a node's own noise.
        correlated: standard deviation of the noise of a pair.
        hears: whose messages the observer sees, from W.
        inside: nodes whose own noise, and that of the pairs they belong to, it knows.

    What is known is one more row, a unit vector over the sources. Signals of nodes inside have no column.
    """
    n = len(rounds[0][0])
    sources = [[*range(n), *pairs(w, active)] if injects else [] for w, active, injects, _ in rounds]
    signals = [round for round, (_, _, injects, _) in enumerate(rounds) if injects]
    noise_columns = [(round, source) for round in range(len(rounds)) for source in sources[round]]
    noise, signal = np.zeros((n, len(noise_columns))), np.zeros((n, len(signals), n))
    rows_noise, rows_signal = [], []
    for round, (w, active, injects, scale) in enumerate(rounds):
        for column, (when, source) in enumerate(noise_columns):
            if when == round and isinstance(source, tuple):
                noise[source[0], column] += scale * correlated
                noise[source[1], column] -= scale * correlated
            elif when == round and active[source]:
                noise[source, column] += scale * independent
        if injects:
            signal[:, signals.index(round)] += scale * np.diag(active)
        for heard in hears(w):
            rows_noise.append(noise[heard].copy())
            rows_signal.append(signal[heard].copy())
        noise, signal = w @ noise, np.tensordot(w, signal, 1)
    for column, (_, source) in enumerate(noise_columns):
        ends = source if isinstance(source, tuple) else (source,)
        if set(ends) & set(inside):
            rows_noise.append(np.eye(len(noise_columns))[column])
            rows_signal.append(np.zeros(signal.shape[1:]))
    if not rows_noise:  # who hears nothing learns nothing
        return np.zeros((n, len(signals), len(signals)))
    b, a = np.array(rows_noise), np.array(rows_signal)
    inverse = np.linalg.pinv(b @ b.T, rcond=1e-11, hermitian=True)
    return np.array([a[:, :, u].T @ inverse @ a[:, :, u] for u in range(n)])


def pairs(w, active):
    """Links that go both ways between nodes that are there."""
    n = len(w)
    return [(i, j) for i in range(n) for j in range(i + 1, n) if w[i, j] > 0 < w[j, i] and active[i] and active[j]]
