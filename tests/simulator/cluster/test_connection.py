"""Which Ray a run uses, and what it leaves behind in its process."""

import os

import pytest
import ray

from simulator.backends.ray.session import TOKENS, connected
from simulator.core.errors import InputError

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def rays_variables():
    return {name: value for name, value in os.environ.items() if name.startswith("RAY_")}


def test_a_ray_of_ones_own_leaves_tokens_off_so_that_a_cluster_can_be_used_after_it(cluster):
    before = rays_variables()
    with connected(None):
        assert os.environ[TOKENS] == "token", "Ray turns them on for a Ray of one's own"
    assert rays_variables() == before

    with connected(cluster.address):
        assert len(ray.nodes()) >= 3


@pytest.mark.exhaustive
def test_a_process_that_is_connected_is_not_taken_elsewhere(cluster, monkeypatch):
    ray.init(address=cluster.address)
    try:
        with connected(cluster.address), connected("auto"), connected(None):
            assert ray.is_initialized()
        monkeypatch.setattr("simulator.backends.ray.session.asks_for_token", lambda address: False)
        with pytest.raises(InputError, match=r"backend\.address: this process is connected to the Ray at .* not"):
            connected("192.0.2.77:6379").__enter__()
        monkeypatch.setattr("ray.util.client.ray.is_connected", lambda: True)
        with pytest.raises(InputError, match=r"backend\.address: this process is connected through Ray Client"):
            connected("auto").__enter__()
        assert ray.is_initialized()
    finally:
        ray.shutdown()
