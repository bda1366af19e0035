"""Public images that are private or test images too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.data.public import PublicSet
from simulator.data.settings import DataSettings


def check_overlap(
    settings: DataSettings, public: PublicSet, train: NDArray[np.uint8], test: NDArray[np.uint8]
) -> Iterator[str]:
    """Compare images pixel by pixel, public ones as they are after conversion.

    Of a source that is the private data set itself no row is drawn that a node holds, so an image found there is one
    that the data set has twice: that is told and not refused.

    Args:
        settings: says what is public, and whether an overlap is allowed.
        public: the public set.
        train: uint8 [N, height, width, channels], all that the nodes hold, be it to train on or not.
        test: uint8 [M, height, width, channels], the test images.

    Returns:
        What the user should know, a line for each source with such images.

    Raises:
        InputError: a source has such images, and ``data.public_overlap`` does not allow it.
    """
    if not settings.public:
        return
    digests, private, tested = _digests(public.images.numpy()), set(_digests(train)), set(_digests(test))
    for number, source in enumerate(settings.public):
        mine = [digests[place] for place in np.flatnonzero(public.source == number)]
        held, seen = (sum(digest in known for digest in mine) for known in (private, tested))
        if held + seen == 0:
            continue
        what = f"{held} of its {len(mine)} public images are private images of the nodes, {seen} are test images"
        own = public.in_distribution[public.source == number].all()
        if not own and settings.public_overlap == "refuse":
            advice = "Take another public set, or set data.public_overlap: allow."
            raise wrong(f"data.public[{number}]", f"{what}.", advice)
        yield f"public images of {source.dataset.name}: {what}"


def _digests(images: NDArray[np.uint8]) -> list[bytes]:
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
