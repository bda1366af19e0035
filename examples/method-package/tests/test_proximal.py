"""The method keeps the laws of all methods, and does what it says."""

from rumormill_proximal import Proximal

from simulator import load_experiment, run
from simulator.testing import check_method


def test_it_keeps_the_laws_of_methods():
    check_method(Proximal(mu=0.1))


def test_the_stronger_it_is_the_less_nodes_move(tmp_path):
    def movement(mu):
        method = {"name": "proximal", "mu": mu}
        done = run(load_experiment("quickstart", ["rounds=2", f"methods=[{method}]"]), tmp_path / str(mu))
        return sum(metric.value for metric in done.metrics() if metric.name == "proximal/movement")

    assert movement(5.0) < movement(0.0)
