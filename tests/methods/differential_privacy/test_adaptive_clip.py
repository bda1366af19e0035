"""A clip that moves: where to, with which noise, and what it costs."""

import numpy as np
import pytest
from reference.experiments import At, results, small
from reference.network import Network, random_data, seeded, sgd
from reference.sample_gradients import of_one_tensor

from methods.differential_privacy.adaptive_clip import AdaptiveClip, AdaptiveClipSettings
from methods.differential_privacy.dp_sgd import DPSGD
from simulator import resume, run
from simulator.core.errors import InputError
from simulator.core.node_program import NodeProgram
from simulator.models.small import MLP
from simulator.testing.network import of_images
from topologies import Topology

MODEL = seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3)))


def adaptive(sigma, batch_size=8, local_steps=1, **settings):
    config = DPSGD.Config(noise_multiplier=sigma, adaptive_clip=settings, clip=3.0)
    training = sgd(0.1, batch_size=batch_size, local_steps=local_steps)
    network = Network(
        Topology.build("complete", 1), MODEL, random_data(30), training, methods=lambda i: [DPSGD(config)]
    )
    return network, network.nodes[0], network.nodes[0].methods[0]


def test_the_noise_on_gradients_makes_up_for_what_the_count_tells():
    clip = AdaptiveClip(AdaptiveClipSettings(count_noise=1.0), 1.0, length=32)
    assert clip.noise_multiplier(1.0) == pytest.approx(1.1547, abs=1e-4)
    assert clip.noise_multiplier(2.0) == np.inf  # all is spent on the count
    assert AdaptiveClip(AdaptiveClipSettings(), 1.0, length=32).count_noise == 1.6


@pytest.mark.parametrize("quantile", [0.2, 0.5, 0.9])
def test_it_goes_to_the_quantile_of_the_norms(quantile):
    rng = np.random.default_rng(0)
    clip, values = AdaptiveClip(AdaptiveClipSettings(quantile=quantile), 20.0, length=100), []
    for _ in range(800):
        norms = rng.exponential(size=rng.poisson(100))  # a batch is as long as it happens to be
        clip.move(int((norms <= clip.value).sum()), len(norms), rng)
        values.append(clip.value)
    assert np.mean(values[200:]) == pytest.approx(-np.log(1 - quantile), rel=0.06)


def test_it_goes_no_higher_than_it_may():
    clip, rng = AdaptiveClip(AdaptiveClipSettings(max_clip=2.0), 1.0, length=100), np.random.default_rng(0)
    for _ in range(100):
        clip.move(0, 100, rng)  # all are cut
    assert clip.value == 2.0


def test_a_sample_more_moves_the_count_by_a_half_either_way():
    """So that under noise of s on the count it is as well hidden as by 2 s on a clipped gradient."""
    logs = []
    for left, of in ((5, 10), (5, 11), (6, 11)):
        clip = AdaptiveClip(AdaptiveClipSettings(learning_rate=1.0), 1.0, length=10)
        clip.move(left, of, np.random.default_rng(0))
        logs.append(np.log(clip.value))
    assert np.diff(logs) == pytest.approx([0.05, -0.1])  # without it, one that is cut, and one that is not


def test_noise_is_of_the_clip_that_clipped_the_step():
    """Without samples to speak of, gradients are noise alone: sigma_eff times the clip before the step, over q n."""
    network, _, dp = adaptive(1.0, batch_size=8, count_noise=1.0, learning_rate=3.0)
    found = []
    weighed = dp.weigh_gradients

    def watched(node, batch, gradients):
        before = dp.clip
        weighed(node, batch, of_one_tensor(node.gradient.new_zeros(0, len(node.gradient))))
        found.append((before, float(node.gradient.std() * 8), dp.clip))

    dp.weigh_gradients = watched
    for _ in range(6):
        network.run(1)
    for before, spread, after in found:
        assert spread == pytest.approx(1.1547 * before, rel=0.1)
        assert after != before


def test_an_empty_batch_moves_it_by_noise_and_is_paid_for():
    network, node, dp = adaptive(1.0, batch_size=1, local_steps=20, count_noise=1.0)
    network.work()
    assert dp.budget.steps == 20
    assert np.isfinite(dp.clip)
    assert dp.clip > 0
    assert dp.budget.epsilon == adaptive(1.0, batch_size=1, count_noise=1.0)[2].budget.mechanism.epsilon(
        20
    )  # sigma's, whatever C
    assert NodeProgram(node).measure()["privacy/clip"] == dp.clip


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_its_clip_and_reports_it(tmp_path):
    method = {"name": "dp_sgd", "noise_multiplier": 1.0, "adaptive_clip": {"count_noise": 2.0}}
    changes = {"methods": [method], "checkpoint": {"every": 2}}
    whole = run(small(**changes), tmp_path / "whole")
    halted = run(small(**changes), tmp_path / "halted", [At(2, lambda: (_ for _ in ()).throw(KeyboardInterrupt))])
    resume(halted.path)
    assert results(halted.path) == results(whole.path)
    _, clips = whole.directory.series("privacy/clip")
    assert (clips[0] == 1.0).all()
    assert len(set(clips[-1])) == clips.shape[1]
    kept = {artifact.node: artifact.arrays["clip"].item() for artifact in whole.directory.artifacts("dp_sgd")}
    assert [kept[node] for node in sorted(kept)] == pytest.approx(clips[-1])


def test_canaries_that_are_marks_and_exact_accounts_refuse_it(tmp_path):
    from auditing.network_privacy.declared_noise import noise_of

    method = {"name": "dp_sgd", "noise_multiplier": 1.0, "adaptive_clip": {}}
    with pytest.raises(InputError, match=r"marks of one clip, and dp_sgd clips layer by layer or to norms that change"):
        run(small("data.canaries={kind: block, number: 3}", methods=[method]), tmp_path)
    done = run(small(methods=[method], rounds=1), tmp_path)
    with pytest.raises(InputError, match=r"methods.dp_sgd.adaptive_clip: dp_sgd's clip moves from step to step"):
        noise_of(done.directory, done.experiment, None)
