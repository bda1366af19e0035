"""Noise that is correlated over time: its encoder against published figures, its covariance, its error, its runs."""

import signal

import numpy as np
import pytest
import torch
from reference.experiments import At, results, small

from auditing.network_privacy.declared_noise import noise_of
from methods.differential_privacy.correlation_in_time import NoiseOverTime
from methods.differential_privacy.noise_encoder import encoder, error_ratio, workload_gram
from simulator import resume, run
from simulator.core.errors import InputError
from simulator.privacy.gaussian_dp import epsilon_of
from topologies import Topology, eigenvalues

RING = Topology.build("ring", 16).weights
SPECTRUM = tuple(eigenvalues(RING).tolist())


@pytest.mark.parametrize(("times", "ratio"), [(1, 0.691), (2, 0.697), (4, 0.728), (8, 0.818), (16, 1.0)])
def test_on_a_ring_it_pays_the_more_the_rarer_samples_return_and_not_at_all_if_in_every_step(times, ratio):
    """16 steps; found apart from this, by another search."""
    lower = encoder(SPECTRUM, 16, 1, 16 // times, 16)
    gram = lower.T @ lower

    assert error_ratio(workload_gram(SPECTRUM, 16, 1), lower) == pytest.approx(ratio, abs=5e-4)
    assert not np.triu(lower, 1).any()
    np.testing.assert_allclose(np.diag(gram), 1, atol=1e-12)
    for first in range(16 // times):  # the steps that a sample may be in
        among = gram[first :: 16 // times, first :: 16 // times]
        np.testing.assert_allclose(among, np.eye(times), atol=1e-12)


def test_the_optimum_for_sums_over_time_is_nearly_as_good_on_a_ring():
    lower = encoder((1.0,), 16, 1, 16, 16)
    assert error_ratio(workload_gram(SPECTRUM, 16, 1), lower) == pytest.approx(0.708, abs=5e-4)


def test_more_bands_are_better_and_no_others_are_used():
    ratios = []
    for bands in (2, 4, 8):
        lower = encoder(SPECTRUM, 10, 3, 10, bands)
        assert not np.tril(lower, -bands).any() or np.abs(np.tril(lower, -bands)).max() < 1e-12
        ratios.append(error_ratio(workload_gram(SPECTRUM, 10, 3), lower))
    assert ratios[2] < ratios[1] < ratios[0] < 0.9


def test_it_is_least_among_its_neighbours():
    """Convex, so a lowest point among random steps away is the lowest of all."""
    gram, lower = workload_gram(SPECTRUM, 6, 2), encoder(SPECTRUM, 6, 2, 4, 4)
    best, rng = error_ratio(gram, lower), np.random.default_rng(0)
    x = lower.T @ lower
    for _ in range(50):
        step = np.triu(rng.normal(size=x.shape), 1) * ((x != 0) & (np.abs(x) > 1e-9)) * 1e-3
        other = np.linalg.cholesky((x + step + step.T)[::-1, ::-1])[::-1, ::-1].T
        assert error_ratio(gram, other) >= best


def drawn(lower, bands, local_steps, numbers=40_000):
    noise, rng = NoiseOverTime(lower, bands, local_steps), np.random.default_rng(0)
    return np.stack([noise.next(torch.from_numpy(rng.standard_normal(numbers)), t).numpy() for t in range(len(lower))])


def test_rows_have_the_covariance_of_the_encoder_and_leave_the_error_that_it_promises():
    rounds, steps = 6, 2
    lower = encoder(SPECTRUM, rounds, steps, 6, 4)
    rows = drawn(lower, 4, steps)
    whitened = lower @ rows

    np.testing.assert_allclose(whitened @ whitened.T / rows.shape[1], np.eye(len(lower)), atol=0.03)
    errors = []
    for noise in (rows, np.random.default_rng(1).standard_normal(rows.shape)):  # by gossip, node by node
        blocks = noise.reshape(len(lower), 16, -1)  # each node has its own columns
        models, squares = np.zeros_like(blocks[0]), 0.0
        for step, added in enumerate(blocks):
            models = models + added
            if step % steps == steps - 1:
                models = np.einsum("ij,jd->id", RING, models)
            squares += float((models**2).sum())
        errors.append(squares**0.5)
    assert errors[0] / errors[1] == pytest.approx(error_ratio(workload_gram(SPECTRUM, rounds, steps), lower), rel=0.02)


METHOD = {"name": "dp_sgd", "noise_multiplier": 2.0, "sampling": "cyclic", "delta": 1e-3}
CORRELATED = METHOD | {"matrix_factorization": {"bands": 3}}


def correlated(**changes):
    return small(**{"methods": [CORRELATED], "checkpoint": {"every": 2}, **changes})


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_its_noise_which_no_state_holds(tmp_path):
    whole = run(correlated(), tmp_path / "whole")
    halted = run(correlated(), tmp_path / "halted", [At(3, lambda: signal.raise_signal(signal.SIGINT))])
    assert halted.status == "interrupted"
    resume(halted.path)
    assert results(halted.path) == results(whole.path)
    node = whole.nodes[0]
    state = node.methods[0].state_dict()
    assert all(tensor.numel() < len(node.parameters) for tensor in state.values())
    plain = run(small(methods=[METHOD]), tmp_path / "plain")
    assert not torch.equal(plain.nodes[0].parameters, node.parameters)
    length = node.methods[0].budget.mechanism.pass_length
    for done in (plain, whole):  # one account for both
        spent = done.directory.series("privacy/epsilon")[1][-1]
        assert spent[0] == epsilon_of((-(-node.methods[0].budget.steps // length)) ** 0.5 / 2, 1e-3)
    with pytest.raises(
        InputError, match=r"methods.dp_sgd.matrix_factorization: dp_sgd's noise is correlated over steps"
    ):
        noise_of(whole.directory, whole.experiment, None)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"methods": [CORRELATED | {"sampling": "poisson"}]}, "needs to know how far apart.*set sampling: cyclic"),
        ({"methods": [CORRELATED | {"sampling": "shuffled"}]}, "needs to know how far apart.*set sampling: cyclic"),
        ({"methods": [CORRELATED | {"adaptive_clip": {}}]}, "noise back that had the same clip"),
        ({"training": {"batch_size": 1000}}, "node 0.matrix_factorization: each sample is in every step"),
        (
            {"rounds": 1001},
            r"methods\[0\].matrix_factorization: noise is optimised over all steps at once, at most 1,000",
        ),
        (
            {"topology": {"graph": "ring", "nodes": 4, "failures": {"links": 0.1}}},
            r"methods\[0\].matrix_factorization.workload: .*one symmetric W.*\s+Set workload: prefix",
        ),
    ],
)
def test_what_it_cannot_help_or_does_not_know_is_refused(tmp_path, changes, told):
    with pytest.raises(InputError, match=told):
        run(correlated(**changes), tmp_path)


def test_on_changing_links_noise_is_optimised_for_sums(tmp_path):
    method = METHOD | {"matrix_factorization": {"workload": "prefix"}}
    topology = {"graph": "ring", "nodes": 4, "failures": {"nodes": 0.3}}
    done = run(correlated(methods=[method], topology=topology), tmp_path)
    assert {node.methods[0].budget.steps for node in done.nodes} != {6}  # some were away, and took fewer
