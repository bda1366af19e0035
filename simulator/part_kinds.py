"""Everything that is chosen by name, kind by kind; `simulator.listing` shows the same kinds.

What stands in an experiment is in `simulator.config.slots`, with its place there; audits and trackers are asked for on
the command line, and the rest by audits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.config.slots import SLOTS
from simulator.core.registry import Registry
from simulator.results.trackers import TRACKERS
from simulator.runs.audit import AUDITS

OF_AUDITS = ("views", "signals", "attacks", "memorization_scores")  # which the package auditing brings
REGISTRIES: Mapping[str, Registry[Any]] = {
    registry.kind: registry for registry in (*SLOTS.values(), AUDITS, TRACKERS, *map(Registry, OF_AUDITS))
}
