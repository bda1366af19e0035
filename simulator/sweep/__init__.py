"""Sweeps: one experiment under many settings and seeds, each combination in its own run directory."""

from simulator.sweep.outcome import Failure, Outcome
from simulator.sweep.plan import Sweep, SweepRun, load_sweep
from simulator.sweep.runner import run_sweep

__all__ = ["Failure", "Outcome", "Sweep", "SweepRun", "load_sweep", "run_sweep"]
