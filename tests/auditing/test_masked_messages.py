"""Audits of a run whose messages are masked: they ask of sums, or say by name what nobody can make out."""

import json

import numpy as np
import pytest
import torch
from reference.experiments import small

from auditing.membership.audit import MembershipAudit
from auditing.reconstruction.audit import ReconstructionAudit
from auditing.reconstruction.plan import Seen
from auditing.views.observe import observe
from auditing.views.record import RunRecord, Stored
from simulator import run
from simulator.core.errors import InputError
from simulator.results.recordings import Recordings
from simulator.runs.audit import audit

OPEN = {"topology": {"graph": "ring", "nodes": 6}, "rounds": 3, "record": {"every": 1}}
DATA = ("data.public=[]", "data.partition=iid", "data.validation=0", "data.held_out=0.3")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run of masked sums, and the same by gossip."""
    folder = tmp_path_factory.mktemp("runs")
    return [run(small(*DATA, mixer=mixer, **OPEN), folder / mixer) for mixer in ("masked_sums", "gossip")]


def result(done, **settings):
    return json.loads((audit(done.path, ReconstructionAudit.Config(**settings)) / "result.json").read_text())


def test_a_neighbour_makes_out_the_mean_of_what_it_hears_and_nothing_of_it_is_kept_otherwise(done):
    masked, plain = (RunRecord.of(each) for each in done)
    found, unseen = observe(masked, done[0].directory.topology)
    (message,) = (position for position in found.positions if position.name == "message")
    assert "masked" in message.holder
    assert {(victim, observer) for victim, observer, _ in message.pairs} == set(done[0].directory.topology.edges())
    hidden = {"update", "guessed_update", "marginalized", "all_rounds", "coalition", "global"}
    assert hidden <= {reason.view for reason in unseen if "messages are masked" in str(reason)}
    weights = done[0].directory.topology.row(4)
    terms = sum(weights[j] * plain.load(Stored("message", j, 1)) for j in weights if j != 4)
    heard = masked.load(Stored("heard", 4, 1))
    torch.testing.assert_close(heard, terms / (1 - weights[4]), rtol=0, atol=1e-12)
    kept = Recordings(done[0].path / "recordings").load(1, 3, "sent/masked_parameters/4")
    assert abs(kept.double() / 2**63).mean() == pytest.approx(0.5, abs=0.05)  # as it travelled: noise


def test_membership_is_asked_of_sums_and_refused_of_single_messages(done):
    wanted = MembershipAudit.Config(signals=("loss",), resamples=20, views=("final_model", "message"))
    assert (audit(done[0].path, wanted) / "result.json").exists()
    with pytest.raises(InputError, match="messages are masked, so that nobody makes out what one node has sent"):
        audit(done[0].path, MembershipAudit.Config(signals=("loss",), resamples=20, views=("global",)))


@pytest.mark.slow
def test_reconstruction_takes_nodes_as_hearing_sums_without_being_asked(done):
    by_gossip = Seen.in_network(done[1].experiment, "nodes").result()
    masked, asked = result(done[0]), Seen.in_network(done[1].experiment, "nodes", sums=True).result()
    assert masked["plan"] == asked
    assert np.nansum(np.array(asked["solved"], float)) == 0 < np.nansum(np.array(by_gossip["solved"], float))
    assert masked["plan"]["sums"]
    assert masked["attacked"] is None
    assert "messages are masked" in masked["unattacked"]
    for settings, complaint in (
        ({"messages": "each"}, "masked_sums masks messages"),
        ({"observers": "edges"}, "sums are known to the nodes"),
        ({"attacks": ("first_layer",)}, "messages are masked"),
    ):
        with pytest.raises(InputError, match=complaint):
            audit(done[0].path, ReconstructionAudit.Config(**settings))


def test_canaries_in_a_block_need_single_messages():
    canaries = {"dataset": "digits", "canaries": {"number": 20, "kind": "block"}}
    private = {"name": "dp_sgd", "noise_multiplier": 1.0, "clip": 1.0}
    with pytest.raises(InputError, match="need what each node sends, and masked_sums shows sums alone"):
        small(mixer="masked_sums", data=canaries, methods=[private])
