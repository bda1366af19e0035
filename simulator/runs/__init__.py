"""Runs: an experiment's parts put together, started, resumed, and opened again once they are over."""
