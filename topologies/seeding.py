"""Random numbers keyed by what they are for and by round, so that any round can be drawn alone."""

import hashlib

import numpy as np


def generator(seed: int, purpose: str, round: int) -> np.random.Generator:
    """The generator of one purpose in one round; asking twice gives the same numbers, another purpose other ones.

    Args:
        seed: at least 0.
        purpose: what the numbers are for.
        round: at least 0.
    """
    digest = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
    return np.random.default_rng(np.random.SeedSequence([seed, digest, round]))
