"""Graphs, mixing matrices, their spectra and their schedules: the mathematics of who talks to whom, and when."""

from topologies.drawing import draw
from topologies.errors import TopologyError
from topologies.failures import Failures
from topologies.graphs import GRAPHS
from topologies.laws import Laws
from topologies.layout import positions
from topologies.links import Links
from topologies.network import Network
from topologies.placement import blocks, links_cut
from topologies.schedule import Schedule
from topologies.schedules import ALONG_LINKS, SCHEDULES, build_schedule
from topologies.spectral import (
    diameter,
    diameter_in_words,
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
    "ALONG_LINKS",
    "GRAPHS",
    "SCHEDULES",
    "WEIGHTS",
    "Failures",
    "Laws",
    "Links",
    "Network",
    "Schedule",
    "Topology",
    "TopologyError",
    "blocks",
    "build_schedule",
    "diameter",
    "diameter_in_words",
    "distances",
    "draw",
    "eigenvalues",
    "expected_rounds_to_halve",
    "exponential_gap",
    "lambda_min",
    "links_cut",
    "positions",
    "ring_eigenvalues",
    "singular_values",
    "spectral_gap",
    "torus_eigenvalues",
]
