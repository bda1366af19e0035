"""The statistics of samples over training: against sums over kept matrices, closed forms, and sequences by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from simulator.training.observations import observe
from simulator.training.trajectories import Trajectories, suspicion, visits


def logits(*shape, seed=0):
    return np.random.default_rng(seed).normal(scale=2, size=shape)


STATISTICS = ("cumulative_loss", "mean_margin", "mean_probability_margin", "el2n", "forgetting", "learned_in")


def by_hand(looks, labels, early):
    """The statistics of one sample after another, from all its logits (a list of [T_i, C])."""
    found = {name: [] for name in STATISTICS}
    for rounds, values, label in zip(*looks, labels, strict=True):
        log_p = log_softmax(values, axis=1)
        others = np.delete(values, label, axis=1).max(axis=1)
        correct = values[:, label] > others
        found["cumulative_loss"].append(-log_p[:, label].sum())
        found["mean_margin"].append((values[:, label] - others).mean())
        likeliest = np.delete(np.exp(log_p), label, axis=1).max(axis=1)
        found["mean_probability_margin"].append((np.exp(log_p[:, label]) - likeliest).mean())
        found["el2n"].append(np.linalg.norm(np.exp(log_p[:early]) - np.eye(values.shape[1])[label], axis=1).mean())
        changes = int((correct[:-1] & ~correct[1:]).sum())
        found["forgetting"].append(changes if correct.any() else len(values))
        found["learned_in"].append(rounds[int(correct.argmax())] if correct.any() else -1)
    return found


@given(
    samples=st.integers(1, 6),
    classes=st.integers(2, 4),
    early=st.integers(1, 5),
    sizes=st.lists(st.integers(1, 15), min_size=1, max_size=6),
    seed=st.integers(0, 2**31),
)
def test_streaming_equals_the_statistics_of_everything_kept(samples, classes, early, sizes, seed):
    """Batches of any composition, with samples that come more than once and samples that never come."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    streamed = Trajectories(samples, early, keep=True)
    looks, rounds = [[] for _ in range(samples)], [[] for _ in range(samples)]
    for round, size in enumerate(sizes, 1):
        positions, values = rng.integers(0, samples, size), rng.normal(scale=2, size=(size, classes))
        streamed.add(
            torch.from_numpy(positions),
            observe(torch.from_numpy(values), torch.from_numpy(labels[positions])),
            torch.full((size,), round),
        )
        for position, row in zip(positions, values, strict=True):
            looks[position].append(row)
            rounds[position].append(round)

    found, seen = streamed.arrays(), np.array([len(rows) > 0 for rows in looks])
    assert found["observations"].tolist() == [len(rows) for rows in looks]
    stacked = [np.array(rows) for rows in looks if rows]
    expected = by_hand(([r for r in rounds if r], stacked), labels[seen], early)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name][seen], values, rtol=1e-12, atol=1e-12)
    assert np.isnan(found["mean_margin"][~seen]).all()
    assert np.isnan([values[~seen] for values in suspicion(found).values()]).all()
    np.testing.assert_allclose(np.nansum(found["losses"], axis=0), found["cumulative_loss"], rtol=1e-12)
    assert ((~np.isnan(found["losses"])).sum(axis=0) == found["observations"]).all()


def watched(correct):
    """One sample of two classes, seen correct or wrong as told."""
    trajectories = Trajectories(1)
    for round, right in enumerate(correct, 1):
        seen = observe(torch.tensor([[1.0, 0.0] if right else [0.0, 1.0]]), torch.tensor([0]))
        trajectories.add(torch.tensor([0]), seen, torch.tensor([round]))
    return {name: values[0] for name, values in trajectories.arrays().items()}


@pytest.mark.parametrize(
    ("correct", "forgetting", "learned"),
    [
        ([0, 0, 1, 1, 0, 1, 0, 0, 1], 2, 3),
        ([1, 1, 1, 1], 0, 1),
        ([0, 1, 1], 0, 2),
        ([0, 0, 0, 0, 0], 5, -1),
        ([1, 0, 1, 0], 2, 1),
    ],
)
def test_forgetting_counts_changes_from_correct_to_wrong(correct, forgetting, learned):
    found = watched(correct)
    assert (found["forgetting"], found["learned_in"]) == (forgetting, learned)


def test_a_sample_that_was_never_learned_counts_as_forgotten_most_and_learned_last():
    always, often, never = (watched(history) for history in ([1] * 6, [1, 0] * 3, [0] * 6))
    scores = [suspicion({k: np.array([v]) for k, v in found.items()}) for found in (always, often, never)]
    for name in ("forgetting", "round first learned", "cumulative loss", "area under the margin", "EL2N"):
        values = [float(score[name][0]) for score in scores]
        assert values == sorted(values)
        assert values[0] < values[2]


def test_closed_forms_of_one_look():
    """Uniform logits over C classes: loss log C, margin 0, error sqrt(1 - 1/C); certainty on a wrong class: sqrt 2."""
    seen = observe(torch.zeros(1, 4), torch.tensor([2]))
    assert seen.loss.item() == pytest.approx(math.log(4))
    assert seen.margin.item() == 0
    assert not seen.correct
    assert seen.error.item() == pytest.approx(math.sqrt(1 - 1 / 4))
    sure = observe(torch.tensor([[80.0, 0.0, 0.0]]).repeat(2, 1), torch.tensor([0, 1]))
    assert sure.error.tolist() == pytest.approx([0, math.sqrt(2)])
    assert sure.margin.tolist() == [80, -80]
    assert sure.probability_margin.tolist() == pytest.approx([1, -1])
    assert sure.loss.tolist() == pytest.approx([0, 80])


def test_probability_margins_rank_samples_otherwise_than_logit_margins():
    """A look at which the sample is right by 10 outweighs one at which it is wrong by 2, among logits only."""
    looks = torch.tensor([[-2.0, 0.0], [10.0, 0.0]])
    seen = observe(looks, torch.zeros(2, dtype=torch.int64))
    sigmoid = torch.sigmoid(looks[:, 0].double())
    torch.testing.assert_close(seen.probability_margin, 2 * sigmoid - 1)
    assert seen.margin.mean() == 4
    assert seen.probability_margin.mean() < 0.13


def test_the_error_is_averaged_over_the_first_looks_only():
    trajectories = Trajectories(1, early=2)
    for round, logit in enumerate((0.0, 0.0, -50.0, -50.0)):
        trajectories.add(
            torch.tensor([0]), observe(torch.tensor([[logit, 0.0]]), torch.tensor([0])), torch.tensor([round])
        )
    assert trajectories.arrays()["el2n"][0] == pytest.approx(math.sqrt(1 / 2))


def test_low_precision_logits_are_looked_at_in_double():
    exact = torch.tensor([[0.5, -1.25, 3.0]])
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        assert observe(exact.to(dtype), torch.tensor([1])).loss.item() == observe(exact, torch.tensor([1])).loss.item()


@given(st.lists(st.integers(0, 4), max_size=20))
def test_visits_take_every_occurrence_once_and_in_order(numbers):
    taken = [rows.tolist() for rows in visits(torch.tensor(numbers, dtype=torch.int64))]
    assert sorted(itertools.chain(*taken)) == list(range(len(numbers)))
    for turn, rows in enumerate(taken):
        assert all(numbers[:row].count(numbers[row]) == turn for row in rows)


@given(sizes=st.lists(st.integers(1, 15), min_size=1, max_size=6), seed=st.integers(0, 2**31))
def test_it_makes_no_difference_how_many_looks_are_summed_up_at_once(sizes, seed):
    rng = np.random.default_rng(seed)
    positions = torch.from_numpy(rng.integers(0, 5, sum(sizes)))
    seen, rounds = observe(torch.from_numpy(rng.normal(size=(sum(sizes), 3))), positions % 3), torch.arange(sum(sizes))
    whole, parts = Trajectories(5, early=2, keep=True), Trajectories(5, early=2, keep=True)
    whole.add(positions, seen, rounds)
    for rows in torch.arange(sum(sizes)).split(sizes):
        parts.add(positions[rows], seen.at(rows), rounds[rows])

    assert whole.state_dict().keys() == parts.state_dict().keys()
    assert all(torch.equal(part, parts.state_dict()[name]) for name, part in whole.state_dict().items())


def test_state_goes_on_where_it_was_taken():
    values, labels = torch.from_numpy(logits(8, 5, 3)), torch.tensor([0, 1, 2, 0, 1])
    straight = Trajectories(5, early=3, keep=True)
    resumed = Trajectories(5, early=3, keep=True)
    for round, row in enumerate(values):
        straight.add(torch.arange(5), observe(row, labels), torch.full((5,), round))
        if round == 3:
            resumed.load_state_dict({name: part.clone() for name, part in straight.state_dict().items()})
        if round > 3:
            resumed.add(torch.arange(5), observe(row, labels), torch.full((5,), round))
    for name, part in straight.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], part)


def test_what_is_given_out_does_not_change_afterwards():
    trajectories = Trajectories(2)
    before = trajectories.arrays()
    trajectories.add(torch.tensor([0]), observe(torch.zeros(1, 2), torch.tensor([0])), torch.tensor([0]))
    assert before["observations"].tolist() == [0, 0]
