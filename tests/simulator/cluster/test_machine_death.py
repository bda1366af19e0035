"""A machine of the cluster that dies: the run goes on, on what lives, and to the same bytes."""

import psutil
import pytest
from reference.experiments import METHODS, At, results, small

from simulator import run
from simulator.core.observer import Observer

pytestmark = [pytest.mark.ray, pytest.mark.slow]

CHANGES = {"rounds": 8, "methods": METHODS, "checkpoint": {"every": 3}}


class Recoveries(Observer):
    """Where the run went on after a loss, and why it had to."""

    def __init__(self):
        self.found = []

    def recovered(self, round, reason):
        self.found.append((round, reason))


def power_off(cluster, machine):
    """End all processes of the machine at once, those of its workers too."""
    (raylet,) = machine.all_processes["raylet"]
    for process in psutil.Process(raylet.process.pid).children(recursive=True):
        process.kill()
    cluster.remove_node(machine, allow_graceful=False)


@pytest.mark.parametrize(
    "gpus", [pytest.param(0, id="processors"), pytest.param(0.4, id="GPUs", marks=pytest.mark.exhaustive)]
)
def test_a_machine_that_dies_is_done_without(cluster, tmp_path, gpus):
    """Its workers, of three machines, go to another one."""
    machine = cluster.add_node(num_cpus=4, num_gpus=4 if gpus else 0)
    left = [machine]

    def die():
        if left:
            power_off(cluster, left.pop())

    seen = Recoveries()
    backend = {"name": "ray", "address": cluster.address, "workers": 4, "gpus_per_worker": gpus}
    try:
        done = run(small(**CHANGES, backend=backend), tmp_path / "ray", [At(5, die), seen])
    finally:
        die()

    assert done.status == "finished"
    assert [round for round, _ in seen.found] == [3], seen.found
    assert results(done.path) == results(run(small(**CHANGES), tmp_path / "local").path)
