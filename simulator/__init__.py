"""Simulate decentralized learning: ``from simulator import load_experiment, run``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.experiment import Experiment as Experiment
    from simulator.launch import Run as Run
    from simulator.launch import resume as resume
    from simulator.launch import run as run
    from simulator.parsing import load_experiment as load_experiment

_HOME = {"Experiment": "experiment", "load_experiment": "parsing", "Run": "launch", "resume": "launch", "run": "launch"}
__all__ = ["Experiment", "Run", "load_experiment", "resume", "run"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: plug-ins import this package too, and need little of it."""
    if name not in _HOME:
        raise AttributeError(f"module 'simulator' has no attribute '{name}'")
    return getattr(import_module(f"simulator.{_HOME[name]}"), name)
