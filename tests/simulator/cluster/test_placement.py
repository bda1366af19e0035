"""Ray on three machines: workers run where they were meant to, on GPUs that are free, and give the bytes of local."""

import pytest
import ray
from reference.experiments import results, small

from simulator import load_experiment, run
from simulator.backends.ray import Ray, actor_pool
from simulator.backends.ray.session import connected
from simulator.core.errors import InputError
from simulator.runs.build import Simulation

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def started(cluster):
    """``started(**settings)``: a backend on the cluster that carries the nodes of a ring."""
    backends = []

    def start(**settings):
        backend = Ray(Ray.Config(address=cluster.address, **settings))
        backend.start(Simulation.of(small()).blueprint)
        backends.append(backend)
        return backend

    yield start
    for backend in backends:
        backend.close()


def where(backend):
    """By worker: the machine that was chosen for it, and that on which it runs."""
    from ray._private.state import actors

    table = actors()
    runs = {worker: table[actor._actor_id.hex()] for worker, actor in backend._actors._actors.items()}
    return {worker: (backend._actors._placed[worker].id, runs[worker]["Address"]["NodeID"]) for worker in runs}


def test_one_worker_a_machine_is_where_it_was_meant_to_be(started):
    found = where(started(workers=3))

    assert [chosen for chosen, _ in found.values()] == [runs for _, runs in found.values()]
    assert len({runs for _, runs in found.values()}) == 3


def test_fractions_of_gpus_are_of_one_each(started, cluster):
    """Two GPUs a machine have room for one worker with 0.6 each: four in all."""
    found = where(started(workers=2, gpus_per_worker=0.6))
    assert len({runs for _, runs in found.values()} - {cluster.head_node.node_id}) == 2


@pytest.mark.exhaustive
def test_more_gpus_than_are_free_are_refused(started):
    with pytest.raises(InputError, match=r"backend\.gpus_per_worker: 3 x 2 GPUs are not to be had: .* room for 2 such"):
        started(workers=3, gpus_per_worker=2)


@pytest.mark.exhaustive
def test_workers_that_get_gpus_do_not_train_on_processors_unasked(cluster):
    """On the machines of this cluster there are GPUs in name only."""
    backend = {"name": "ray", "address": cluster.address, "workers": 1, "gpus_per_worker": 0.5}
    simulation = Simulation.of(small("training.device=auto", backend=backend))

    with pytest.raises(InputError, match=r"training\.device: no CUDA device can be used on"), simulation.started():
        pass


class Holder:
    """Has what it was given, for as long as it lives."""

    def is_here(self):
        return True


def test_what_is_free_of_several_gpus_does_not_add_up_and_waiting_for_it_ends(cluster, monkeypatch):
    """Of each of four GPUs 0.3 is free, which Ray tells as 0.6 a machine: a worker with 0.5 waits, and not for ever."""
    monkeypatch.setattr(actor_pool, "STARTING", 6.0)
    with connected(cluster.address):
        holders = [ray.remote(Holder).options(num_cpus=0, num_gpus=0.7).remote() for _ in range(4)]
        ray.get([holder.is_here.remote() for holder in holders])
        try:
            with pytest.raises(
                InputError, match=r"worker 0 has waited 6 s on the machine .* for 0\.5 GPUs: .*"
            ) as caught:
                Ray(Ray.Config(workers=1, gpus_per_worker=0.5)).start(Simulation.of(small()).blueprint)
        finally:
            for holder in holders:
                ray.kill(holder)
    assert caught.value.problems[0].where == "backend.gpus_per_worker"
    assert "ray status" in caught.value.problems[0].advice


def test_three_machines_give_the_bytes_of_local(cluster, tmp_path):
    backend = {"name": "ray", "address": cluster.address, "workers": 3, "placement": "round_robin"}
    experiment = small()
    on_ray = load_experiment(experiment.to_dict() | {"backend": backend})

    assert results(run(on_ray, tmp_path / "ray").path) == results(run(experiment, tmp_path / "local").path)
