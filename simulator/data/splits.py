"""From the ``data`` block of an experiment to what each node holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simulator.core.task import Task
from simulator.data.network_data import NetworkData
from simulator.data.pooled import prepare_pool
from simulator.data.settings import Corruption, DataSettings, PublicSource, VerifiedSettings
from simulator.data.sites.preparation import prepare_sites
from simulator.tasks.classification import Classification

__all__ = ["Corruption", "DataSettings", "NetworkData", "PublicSource", "VerifiedSettings", "prepare"]


def prepare(
    settings: DataSettings,
    nodes: int,
    seed: int,
    task: Task | None = None,
    opened: Mapping[int, Path] | None = None,
) -> NetworkData:
    """What each of so many nodes holds.

    Args:
        settings: what data, for whom.
        nodes: how many.
        seed: the experiment's.
        task: what is predicted; by default classes.
        opened: where nodes are sites, whose data to open, and where these lie; of no other node is anything looked at.
            None: all of them, in ``data.dataset.path``.

    Raises:
        InputError: data cannot be loaded, there are too few samples for what is asked, or settings do not go together.
    """
    task = task or Classification(Classification.Config())
    if settings.sites is None:
        return prepare_pool(settings, nodes, seed, task)
    return prepare_sites(settings, settings.sites, nodes, seed, task, opened)
