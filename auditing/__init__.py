"""Audits: what an observer of the network can learn about a node's data, from a run directory, never a live engine."""
