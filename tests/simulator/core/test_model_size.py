"""Networks that cannot fit into memory are refused by an estimate, before they are made."""

import pytest
from reference.experiments import small

from simulator.core.errors import InputError
from simulator.runs.build import Simulation

TOO_LARGE = [
    {"hidden": [10**18]},
    {"hidden": [10**8]},
    {"name": "cnn", "width": 10**9},
    {"name": "cnn", "width": 10**6},
]


@pytest.mark.parametrize("model", TOO_LARGE)
def test_a_network_too_large_is_refused_under_its_name(model):
    with pytest.raises(InputError, match="Make the network smaller") as caught:
        Simulation.of(small(model={"name": "mlp", **model}))
    assert caught.value.problems[0].where == "model"


def test_all_nodes_count(monkeypatch):
    needed = 4 * 8 * (64 * 16 + 16 + 16 * 10 + 10)
    monkeypatch.setattr("simulator.core.capacity.physical_memory", lambda: needed - 1)
    with pytest.raises(InputError, match="the models of 4 nodes, 1,210 parameters each"):
        Simulation.of(small("data.public=[]"))
    monkeypatch.setattr("simulator.core.capacity.physical_memory", lambda: needed)
    Simulation.of(small("data.public=[]"))
