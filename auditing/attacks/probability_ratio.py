"""The logarithm of p / pr: a sample's probability in the attacked model, to that in a model drawn at random.

RMIA and BASE both decide by it. All is in logarithms, since probabilities underflow: e^-800 is 0, and 0 / 0 no ratio.
"""

from __future__ import annotations

import numpy as np

from auditing.attacks.evidence import Bools, Floats


def log_mean(values: Floats, chosen: Bools) -> Floats:
    """Log of the mean probability in the ``chosen`` references, float64 [N]; as usual with others where there are none.

    Args:
        values: float64 [M, N], log probabilities in the references.
        chosen: bool [M, N].
    """
    known: Bools = chosen.sum(axis=0) > 0
    mean = _log_mean(values, chosen)
    return np.where(known, mean, _log_mean(mean[:, None], known[:, None]))


def both_sides(values: Floats, member_of: Bools) -> Floats:
    """Log pr with the references that trained on the sample and those that did not, half each, float64 [N].

    Where one side has no reference, the other stands for both. Arguments are as in `log_mean`.
    """
    inside, outside = member_of.any(axis=0), (~member_of).any(axis=0)
    p_in, p_out = (log_mean(values, side) for side in (member_of, ~member_of))
    return np.where(inside & outside, np.logaddexp(p_in, p_out) - np.log(2), np.where(inside, p_in, p_out))


def _log_mean(values: Floats, chosen: Bools) -> Floats:
    """Log of the mean of e^values over the ``chosen`` ones of each column; 0 where there are none."""
    count = chosen.sum(axis=0)
    total = np.logaddexp.reduce(np.where(chosen, values, -np.inf), axis=0)
    return np.where(count > 0, total - np.log(np.maximum(count, 1)), 0.0)
