"""Random numbers keyed by what they are for, so that no result depends on the order in which things happen.

Every generator is `numpy.random.SeedSequence` keyed by (seed, node, purpose, round): asking twice gives the same
stream, asking for another purpose gives an independent one. Nothing in the project draws from a global generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch


def generator(seed: int, purpose: str, *, node: int | None = None, round: int = 0) -> np.random.Generator:
    """A generator for one purpose; ``node`` is None for what belongs to the whole network."""
    who = 0 if node is None else node + 1
    key = [*_words(seed), *_words(who), *_digest(purpose), *_words(round)]
    # As words, which is what SeedSequence makes of [seed, who, digest, round], in several times as long.
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(np.array(key, np.uint32))))


@lru_cache(maxsize=1024)
def _digest(purpose: str) -> list[int]:
    return _words(int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little"))


def _words(number: int) -> list[int]:
    """A number's 32-bit words, the lowest first."""
    if number < 0:
        raise ValueError(f"random numbers are keyed by what is at least 0, not {number}")
    words = [number & 0xFFFFFFFF]
    while number := number >> 32:
        words.append(number & 0xFFFFFFFF)
    return words


def keystream(secret: int, purpose: str, round: int, count: int) -> bytes:
    """``count`` bytes of SHAKE256, a cryptographic stream where the ``secret``, up to 256 bits, is one."""
    key = secret.to_bytes(32) + hashlib.sha256(purpose.encode()).digest() + round.to_bytes(8)
    return hashlib.shake_256(key).digest(count)


@contextmanager
def torch_seed(seed: int, purpose: str) -> Iterator[None]:
    """Seed torch's global generator inside the block and restore it after.

    For the initialisation of modules, which knows no other generator. Only the CPU's: modules are made there, and
    `torch.manual_seed` would also keep a stack trace at every call, for each kind of device that is not there.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(generator(seed, purpose).integers(2**63)))
        yield
