"""Random numbers keyed by what they are for, so that no result depends on the order in which things happen.

Every generator is `numpy.random.SeedSequence` keyed by (seed, node, purpose, round): asking twice gives the same
stream, asking for another purpose gives an independent one. Nothing in the project draws from a global generator,
and of what strangers bring, only constructors of networks may.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

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


def global_seed(seed: int, purpose: str) -> AbstractContextManager[None]:
    """As `globally_seeded`, by random numbers for one purpose."""
    return globally_seeded(int(generator(seed, purpose).integers(2**63)))


@contextmanager
def globally_seeded(number: int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and random inside the block and restore them after.

    For the making of networks, which knows no other generators. Of torch's only the CPU's: modules are made there, and
    `torch.manual_seed` would also keep a stack trace at every call, for each kind of device that is not there.
    """
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(number)
        random.seed(number)
        np.random.seed(number % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


def global_states() -> Mapping[str, Any]:
    """The states of the global generators, by whose they are."""
    numpys: Any = np.random.get_state()  # noqa: NPY002
    torchs = torch.default_generator.get_state().numpy().tobytes()
    return {"torch": torchs, "numpy": (numpys[1].tobytes(), numpys[2]), "random": random.getstate()}


def drawn_from(before: Mapping[str, Any]) -> list[str]:
    """Which of them have been drawn from since their `global_states` were those ``before``."""
    return [name for name, state in global_states().items() if state != before[name]]
