"""Numbers that cannot be compared are refused by every audit, by the sample and the model that gave them."""

import numpy as np
import pytest
from reference.experiments import METHODS, small
from reference.marks import first
from reference.multi_exit import PKD, clips

from auditing.class_shares.audit import ClassSharesAudit
from auditing.early_exit.audit import EarlyExitAudit
from auditing.membership.audit import MembershipAudit
from auditing.memorization import MemorizationAudit
from auditing.metrics import Ranking
from auditing.robustness import RobustnessAudit
from simulator import run
from simulator.core.errors import InputError
from simulator.results.recordings import Recordings
from simulator.runs.audit import audit
from simulator.runs.run import Run

VALUES = [np.nan, np.inf]


def spoilt(done, value):
    """The run, with one parameter of node 1 after the last round made ``value``."""
    checkpoint = done.checkpoints.load(done.checkpoints.choose())
    checkpoint.nodes[1]["parameters"][-1] = value
    done.checkpoints.save(checkpoint)
    return Run(done.directory, done.status)


@pytest.fixture(scope="module", params=VALUES)
def digits(request, tmp_path_factory):
    """Two rounds of four nodes that hold samples out and keep checkpoints."""
    changes = ["data.held_out=0.4", "data.partition=iid", "rounds=2", "checkpoint.every=1", "data.validation=0.2"]
    return spoilt(run(small(*changes), tmp_path_factory.mktemp("runs")), request.param)


def refused(run, config):
    with pytest.raises(InputError) as caught:
        audit(run.path, config)
    assert not (run.path / "audit" / config.name / "result.json").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    "signal", first(["loss", "curvature_zo", "logit_margin", "modified_entropy", "gradient_norm"], by_default=2)
)
@pytest.mark.slow
def test_membership(digits, signal):
    config = MembershipAudit.Config(signals=(signal,), samples=5, resamples=5, views=("final_model",))
    told = refused(digits, config)
    assert f"audit: the {signal} of sample " in told
    assert "in the model +1 final of 1" in told


@pytest.mark.slow
def test_memorization(digits):
    config = MemorizationAudit.Config(attacks=("final_loss",))
    told = refused(digits, config)
    assert "the loss of sample " in told
    assert "in the model of node 1 after round 2" in told


def test_robustness(digits):
    config = RobustnessAudit.Config(samples=8, steps=1, queries=1, size=2, hops=1)
    told = refused(digits, config)
    assert "the logits of sample " in told
    assert "final of 1" in told


@pytest.mark.slow
def test_wise(tmp_path):
    done = spoilt(run(clips(methods=[PKD]), tmp_path), np.nan)
    assert "in the model final of 1" in refused(done, EarlyExitAudit.Config())


def test_class_shares(tmp_path, monkeypatch):
    done = run(small("rounds=3", methods=METHODS, record={"rounds": [3]}), tmp_path)
    load = Recordings.load

    def spoiling(self, round, node, name):
        return load(self, round, node, name) * (np.nan if node == 2 and "parameters" in name else 1)

    monkeypatch.setattr(Recordings, "load", spoiling)
    assert "the model in the message of node 2 in round 3 is not finite" in refused(done, ClassSharesAudit.Config())


def test_a_score_that_is_nan_has_no_rank():
    with pytest.raises(ValueError, match="score of candidate 1 is NaN"):
        Ranking(np.array([1.0, np.nan, 0.0]), np.array([True, False, True]))
