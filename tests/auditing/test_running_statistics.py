"""Audits of networks with running statistics: a model is evaluated with what was sent of it, or not at all."""

import pytest
import torch
from reference.experiments import small
from reference.stateful import BatchNet

from auditing.networks import network_of
from auditing.views.observe import observe
from auditing.views.record import RunRecord, Stored
from auditing.views.view import Unseen
from simulator import run
from simulator.core.errors import InputError


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    def of(policy):
        data = {"dataset": "digits", "partition": "iid", "held_out": 0.5, "train_samples": 400, "test_samples": 60}
        changes = {"model": BatchNet, "buffers": policy, "data": data, "record": {"every": 2}, "rounds": 4}
        return run(small(**changes), tmp_path_factory.mktemp(policy))

    return {policy: of(policy) for policy in ("mixed", "local")}


def test_a_message_shows_the_statistics_that_were_sent_with_it(done):
    record, topology = RunRecord.of(done["mixed"]), done["mixed"].directory.topology
    observed, _ = observe(record, topology, ["message", "consensus", "update"])
    sent, start = Stored("message", 1, 4), Stored("start", 1, 4)

    assert not torch.equal(record.running(sent), record.running(start))
    assert not torch.equal(record.running(sent), record.running(Stored("mixed", 1, 4)))
    row = observed.models.index(((sent, 1.0),))
    ((weight, running),) = observed.running(row)
    assert weight == 1.0
    assert torch.equal(running, record.recordings.load(4, 1, "sent/buffers").double())
    network = network_of(done["mixed"], "fp64", with_state=True)
    network.bind(observed.model(row), network.merged(observed.running(row)))
    assert torch.equal(network.module.net[2].running_mean, running[:8])


def test_messages_without_statistics_are_no_models_and_nothing_is_taken_out_of_any(done):
    local = RunRecord.of(done["local"]), done["local"].directory.topology
    with pytest.raises(Unseen, match="do not carry the running statistics"):
        observe(*local, ["message"])
    observe(*local, ["final_model", "mixed", "consensus"])
    with pytest.raises(Unseen, match="no weighted sums"):
        observe(RunRecord.of(done["mixed"]), done["mixed"].directory.topology, ["marginalized"])


def test_audits_that_know_no_statistics_refuse(done):
    with pytest.raises(InputError, match="parameters only"):
        network_of(done["mixed"], "fp32")
