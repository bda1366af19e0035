"""Simulate decentralized learning: ``from simulator import Experiment, audit, load_experiment, run``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.config.experiment import Experiment as Experiment
    from simulator.config.parsing import load_experiment as load_experiment
    from simulator.runs.audit import audited as audit
    from simulator.runs.launch import resume as resume
    from simulator.runs.launch import run as run
    from simulator.runs.run import Run as Run

_HOME = {
    "Experiment": "config.experiment:Experiment",
    "audit": "runs.audit:audited",
    "load_experiment": "config.parsing:load_experiment",
    "Run": "runs.run:Run",
    "resume": "runs.launch:resume",
    "run": "runs.launch:run",
}
__all__ = ["Experiment", "Run", "audit", "load_experiment", "resume", "run"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: plug-ins import this package too, and need little of it."""
    if name not in _HOME:
        raise AttributeError(f"module 'simulator' has no attribute '{name}'")
    module, _, called = _HOME[name].partition(":")
    return getattr(import_module(f"simulator.{module}"), called)
