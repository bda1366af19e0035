"""Signals of many models: the same whether models are asked together or one by one, and however many are in memory."""

import numpy as np
import pytest
import torch
from reference.experiments import small
from reference.marks import MANY

from auditing import networks
from auditing.attacks.signal import signals_named
from auditing.candidates import Candidates
from auditing.membership import measurement
from auditing.membership.measurement import Measurement
from auditing.networks import models_at_once, network_of, runs_stacked
from auditing.views.observe import observe
from auditing.views.record import RunRecord
from simulator import run

NAMES = ("loss", "logit_margin", "gradient_norm", "curvature_hvp")
COMPARED = NAMES[::2]  # with a population


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    changes = ["data.held_out=0.4", "data.train_samples=240", "data.public=[]", "rounds=2", "record.every=1"]
    return run(small(*changes), tmp_path_factory.mktemp("runs"))


def measured(done):
    """Of all models that attackers hold, some of which are asked about one victim and others about all."""
    asked, test = Candidates.of(done.nodes, 20), done.nodes[0].data.test
    population = {name: test if name == "loss" else test.subset(torch.arange(10)) for name in COMPARED}
    observed = observe(RunRecord.of(done), done.directory.topology, ())[0]
    return Measurement(done, signals_named(NAMES), asked, population).of(observed)


@pytest.fixture(scope="module")
def alone(done):
    """What is measured of models one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "STACK", 1)
        return measured(done)


@pytest.mark.parametrize(
    "change",
    [
        (measurement, "HELD_BYTES", 5 * 8 * 1210),
        pytest.param((networks, "STACK", 3), marks=pytest.mark.slow),
        pytest.param((measurement, "HELD_BYTES", 1), marks=MANY),
    ],
)
def test_models_do_not_see_each_other(change, done, alone, monkeypatch):
    for module, name, value in ((networks, "STACK", 16), change):
        monkeypatch.setattr(module, name, value)
    found = measured(done)
    assert tuple(found.population) == COMPARED
    for name in COMPARED:
        np.testing.assert_allclose(found.population[name], alone.population[name], rtol=1e-9, atol=1e-12)
    for name in NAMES:
        np.testing.assert_allclose(found.candidates[name], alone.candidates[name], rtol=1e-9, atol=1e-12)
        asked = ~np.isnan(found.candidates[name])
        assert 0 < asked.mean() < 1
        assert asked.any(axis=1).all()


@pytest.mark.parametrize(("model", "expected"), [("{name: mlp, hidden: [16]}", True), ("{name: cnn, width: 4}", False)])
def test_convolutions_of_several_models_are_not_run_as_one(model, expected, tmp_path):
    changes = ["data.held_out=0.4", "data.train_samples=240", "data.public=[]", "rounds=1", f"model={model}"]
    made = run(small(*changes), tmp_path)
    assert runs_stacked(network_of(made, "fp64", with_state=True), made.nodes[0].data) is expected


def test_large_models_are_not_run_as_one(done, monkeypatch):
    network = network_of(done, "fp64", with_state=True)
    assert runs_stacked(network, done.nodes[0].data)
    monkeypatch.setattr("auditing.networks.CACHED_BYTES", 7 * network.initial.nbytes)
    assert not runs_stacked(network, done.nodes[0].data)


def test_as_many_models_are_asked_at_once_as_their_activations_allow(done, monkeypatch):
    network, data = network_of(done, "fp64", with_state=True), done.nodes[0].data
    assert models_at_once(network, data) == networks.STACK
    taken = 64 * networks.bytes_kept(networks.StackedModule(network), networks.form(data, network.dtype))
    for number in (3, 1):
        monkeypatch.setattr(networks, "ACTIVATION_BYTES", int(number * taken))
        assert models_at_once(network, data) == number
