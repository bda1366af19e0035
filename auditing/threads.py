"""Threads that share the cores: one torch thread in each, so the number of cores does not change results."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import torch

from simulator.core.cores import cores


@contextmanager
def one_a_core() -> Iterator[Executor]:
    """A pool of as many threads as there are cores; torch has its threads back afterwards."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
