"""Numbers that an audit can compare: NaN and infinity are refused, by the sample and the model that gave them.

A comparison with NaN is false, so it would pass for the least likely member, or for a class: whatever comes first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.core.samples import Samples

ADVICE = "The model has diverged, as a rule. Run it again with a smaller learning rate, or audit an earlier checkpoint."


def check_finite(values: NDArray[Any], what: str, samples: Samples, model: str) -> None:
    """Refuse what a ``model`` gave for ``samples``, float [N, ...], unless all of it is finite.

    Args:
        values: in the order of the samples.
        what: they are, for example "loss".
        samples: of the training or the test arrays.
        model: which one, for example "final of 3".

    Raises:
        InputError: naming the first sample whose value is not.
    """
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        row, value = int(samples.index[first]), values.reshape(len(values), -1)[first]
        shown = value[~np.isfinite(value)][0]
        told = f"the {what} of sample {row} (its row in the data set's arrays) is {shown} in the model {model}"
        raise wrong("audit", f"{told}, and so for {bad.sum()} of {len(bad)} samples.", ADVICE)
