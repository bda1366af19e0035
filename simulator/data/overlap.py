"""Public samples that are private or test samples too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.core.errors import wrong
from simulator.data.copies import copied
from simulator.data.kinds.kind import StoredArrays
from simulator.data.public import PublicSet
from simulator.data.settings import DataSettings
from simulator.data.stored import size, to_numpy


def check_overlap(
    settings: DataSettings, public: PublicSet, train: StoredArrays, test: StoredArrays, kind: str = "images"
) -> Iterator[str]:
    """Compare samples byte by byte, public ones as they are after conversion.

    Of a source that is the private data set itself no row is drawn that a node holds, so an image found there is one
    that the data set has twice: that is told and not refused.

    Args:
        settings: says what is public, and whether an overlap is allowed.
        public: the public set.
        train: all that the nodes hold, be it to train on or not.
        test: what they are tested on.
        kind: what to call samples.

    Returns:
        What the user should know, a line for each source with such images.

    Raises:
        InputError: a source has such images, and ``data.public_overlap`` does not allow it.
    """
    if not settings.public:
        return
    inputs, others = to_numpy(public.inputs), [(arrays, np.arange(size(arrays))) for arrays in (train, test)]
    for number, source in enumerate(settings.public):
        mine = np.flatnonzero(public.source == number)
        held, seen = (int(copied((inputs, mine), known).sum()) for known in others)
        if held + seen == 0:
            continue
        what = f"{held} of its {len(mine)} public {kind} are private {kind} of the nodes, {seen} are test {kind}"
        is_own = public.in_distribution[public.source == number].all()
        if not is_own and settings.public_overlap == "refuse":
            advice = "Take another public set, or set data.public_overlap: allow."
            raise wrong(f"data.public[{number}]", f"{what}.", advice)
        yield f"public {kind} of {source.dataset.name}: {what}"
