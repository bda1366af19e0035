"""Audits and accounting of a deployment: as of a simulation, but for noise that nobody else can draw again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.deployment import Deployment
from reference.experiments import small

from auditing.membership.audit import MembershipAudit
from auditing.privacy.audit import EmpiricalPrivacyAudit
from methods.differential_privacy.correlated_noise import CorrelatedNoise
from simulator import run
from simulator.deployment.transport.noise import noise_secrets
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import audit
from simulator.runs.build import Simulation

AUDITS = (
    MembershipAudit.Config(signals=("loss",), resamples=20, views=("final_model", "message")),
    EmpiricalPrivacyAudit.Config(),
)
DATA = ("data.public=[]", "data.partition=iid", "data.validation=0", "data.held_out=0.3", "data.canaries=20")
PRIVATE = {"name": "dp_sgd", "noise_multiplier": 1.0, "clip": 1.0}


def experiment(*methods):
    return small(*DATA, "rounds=3", "record.every=1", methods=list(methods))


def deployed(wanted, path):
    deployment = Deployment(wanted, path)
    assert deployment.p2p(3) == dict.fromkeys(range(4), 3)
    return deployment.collected(path)


@pytest.mark.slow
def test_a_deployment_is_audited_as_a_simulation(tmp_path):
    runs = run(experiment(), tmp_path / "simulated").path, deployed(experiment(), tmp_path / "deployed")
    for wanted in AUDITS:
        found = [{file.name: file.read_bytes() for file in audit(path, wanted).iterdir()} for path in runs]
        assert found[0] == found[1] != {}


@pytest.mark.slow
def test_noise_that_protects_is_drawn_from_secrets_and_costs_what_it_costs_in_a_simulation(tmp_path):
    simulated = run(experiment(PRIVATE), tmp_path / "simulated").path
    paths = [simulated, *(deployed(experiment(PRIVATE), tmp_path / str(again)) for again in range(2))]
    directories = [RunDirectory.open(path) for path in paths]
    epsilons = [directory.series("privacy/epsilon")[1] for directory in directories]
    np.testing.assert_array_equal(epsilons[1], epsilons[0])
    losses = [directory.series("test/loss")[1] for directory in directories]
    assert all((losses[0][0] == other[0]).all() for other in losses[1:])  # all begin alike
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (losses[one][1:] != losses[other][1:]).all()
    for wanted in AUDITS:
        assert (audit(paths[1], wanted) / "metrics.json").exists()


def test_correlated_noise_cancels_between_nodes_that_share_no_seed(tmp_path):
    settings = {"name": "correlated_noise", "noise_multiplier": 0.0, "correlated_multiplier": 1.0}
    deployment, noise = Deployment(experiment(settings), tmp_path), []
    blueprint = Simulation.of(deployment.experiment).blueprint
    for number in range(4):
        node_folder = deployment.node_folder(number)
        secrets = noise_secrets(deployment.manifest.run, number, node_folder.private_key(), node_folder.public_keys)
        (node,) = replace(blueprint, secrets=secrets).nodes([number])
        noise.append(CorrelatedNoise(CorrelatedNoise.Config(**settings)).noise(node))
    assert min(each.norm() for each in noise) > 1
    torch.testing.assert_close(sum(noise), torch.zeros_like(noise[0]), atol=1e-12, rtol=0)
