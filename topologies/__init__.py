"""Graphs, mixing matrices and their spectra: the mathematics of who talks to whom."""

from topologies.drawing import draw
from topologies.errors import TopologyError
from topologies.graphs import GRAPHS
from topologies.spectral import (
    diameter,
    distances,
    eigenvalues,
    expected_rounds_to_halve,
    exponential_gap,
    lambda_min,
    ring_eigenvalues,
    singular_values,
    spectral_gap,
    torus_eigenvalues,
)
from topologies.topology import Topology
from topologies.weights import WEIGHTS

__all__ = [
    "GRAPHS",
    "WEIGHTS",
    "Topology",
    "TopologyError",
    "diameter",
    "distances",
    "draw",
    "eigenvalues",
    "expected_rounds_to_halve",
    "exponential_gap",
    "lambda_min",
    "ring_eigenvalues",
    "singular_values",
    "spectral_gap",
    "torus_eigenvalues",
]
