"""The stream of batches: every sample once a pass, full batches, public samples, and continuing where it stopped."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.network import random_data
from torch.nn.functional import one_hot

from simulator.core.seeding import generator
from simulator.core.training_set import TrainingSet


def rng(purpose, round):
    return generator(0, purpose, node=1, round=round)


def stream(samples=10, augment=None, public=0):
    return TrainingSet(random_data(samples, (2, 2, 1), public=public), augment, torch.float64)


def take(training_set, size, count=1):
    return [training_set.next_batch(size, rng, generator(0, "augmentation")) for _ in range(count)]


def label_some(training_set):
    """Public samples 1, 4 and 6 with soft labels."""
    targets = torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [1.0, 0.0, 0.0]], dtype=torch.float64)
    training_set.set_public(torch.tensor([1, 4, 6]), targets)
    return targets


@given(samples=st.integers(1, 20), size=st.integers(1, 25), epochs=st.integers(1, 4))
def test_each_pass_has_every_sample_once(samples, size, epochs):
    size = min(size, samples)
    count = -(-epochs * samples // size)
    taken = torch.cat([batch.positions for batch in take(stream(samples), size, count)])

    for epoch in range(epochs):
        assert sorted(taken[epoch * samples : (epoch + 1) * samples].tolist()) == list(range(samples))


def test_batches_are_full_across_the_end_of_a_pass():
    assert [len(batch) for batch in take(stream(10), 4, 7)] == [4] * 7


def test_a_set_smaller_than_a_batch_gives_all_it_has():
    for batch in take(stream(3), 8, 3):
        assert sorted(batch.positions.tolist()) == [0, 1, 2]


def test_passes_are_shuffled_and_differ():
    first, second = take(stream(20), 20, 2)

    assert first.positions.tolist() != list(range(20))
    assert first.positions.tolist() != second.positions.tolist()


def test_the_order_of_a_pass_is_the_seeded_permutation_of_its_number():
    first, second = take(stream(10), 10, 2)

    assert first.positions.tolist() == rng("batches", 0).permutation(10).tolist()
    assert second.positions.tolist() == rng("batches", 1).permutation(10).tolist()


def test_images_and_labels_belong_to_the_positions():
    data = random_data(10, (2, 2, 1))
    (batch,) = take(stream(10), 4)
    expected = data.train.inputs_at(batch.positions).double().permute(0, 3, 1, 2) / 255

    torch.testing.assert_close(batch.inputs, (expected - 0.5) / 0.25, rtol=1e-6, atol=1e-6)
    assert torch.equal(batch.targets, data.train.targets_at(batch.positions))


def test_public_samples_come_after_the_private_ones_with_their_soft_labels():
    training_set, data = stream(10, public=8), random_data(10, (2, 2, 1), public=8)
    targets = label_some(training_set)
    (batch,) = take(training_set, 13)

    assert sorted(batch.positions.tolist()) == list(range(13))
    assert len(training_set) == 13
    for image, target, position in zip(batch.inputs, batch.targets, batch.positions.tolist(), strict=True):
        if position < 10:
            place = torch.tensor([position])
            pixels, expected = data.train.inputs_at(place), one_hot(data.train.targets_at(place), 3)[0].double()
        else:
            place = torch.tensor([[1, 4, 6][position - 10]])
            pixels, expected = data.public.inputs_at(place), targets[position - 10]
        assert torch.equal(target, expected)
        assert torch.equal(image, data.preparation(pixels, torch.float64)[0])


def test_setting_public_samples_begins_a_new_pass():
    training_set = stream(10, public=8)
    take(training_set, 4)
    label_some(training_set)
    taken = torch.cat([batch.positions for batch in take(training_set, 13, 2)])

    assert Counter(taken.tolist()) == dict.fromkeys(range(13), 2)


def test_setting_none_where_there_were_none_changes_nothing():
    touched, untouched = stream(10, public=8), stream(10, public=8)
    take(touched, 4)
    take(untouched, 4)
    touched.set_public(torch.empty(0, dtype=torch.int64), torch.empty(0, 3))

    for mine, theirs in zip(take(touched, 4, 5), take(untouched, 4, 5), strict=True):
        assert torch.equal(mine.positions, theirs.positions)


def test_setting_none_takes_the_public_samples_away_again():
    training_set = stream(10, public=8)
    label_some(training_set)
    training_set.set_public(torch.empty(0, dtype=torch.int64), torch.empty(0, 3))
    (batch,) = take(training_set, 10)

    assert sorted(batch.positions.tolist()) == list(range(10))
    assert batch.targets.dtype == torch.int64


@pytest.mark.parametrize("with_public", [False, True])
@pytest.mark.parametrize("before", [0, 1, 3, 5])
def test_a_restored_stream_goes_on_as_if_it_had_never_stopped(with_public, before):
    straight, restored = stream(10, public=8), stream(10, public=8)
    if with_public:
        take(straight, 4)
        label_some(straight)
    take(straight, 4, before)
    restored.load_state_dict({name: tensor.clone() for name, tensor in straight.state_dict().items()})

    for mine, theirs in zip(take(straight, 4, 6), take(restored, 4, 6), strict=True):
        assert torch.equal(mine.positions, theirs.positions)
        assert torch.equal(mine.inputs, theirs.inputs)
        assert torch.equal(mine.targets, theirs.targets)


def test_only_private_images_are_augmented():
    def black(images, rng):
        return torch.zeros_like(images)

    training_set, plain = stream(10, black, public=8), stream(10, public=8)
    label_some(training_set)
    label_some(plain)
    (batch,), (expected,) = take(training_set, 13), take(plain, 13)

    assert torch.equal(batch.positions, expected.positions)
    private = batch.positions < 10
    assert (batch.inputs[private] == -2).all()  # (0 - 0.5) / 0.25
    assert torch.equal(batch.inputs[~private], expected.inputs[~private])


def test_augmentation_draws_from_the_generator_it_is_given():
    def noisy(images, rng):
        return torch.from_numpy(rng.integers(0, 256, images.shape, dtype=np.uint8))

    first, second = (take(stream(10, noisy), 4)[0] for _ in range(2))
    other = stream(10, noisy).next_batch(4, rng, generator(1, "augmentation"))

    assert torch.equal(first.inputs, second.inputs)
    assert not torch.equal(first.inputs, other.inputs)


def independent(samples=10, **options):
    training_set = stream(samples, **options)
    training_set.sample("poisson")
    return training_set


def test_independent_batches_hold_each_sample_with_the_same_probability():
    batches = take(independent(), 4, 2000)
    counts = Counter(torch.cat([batch.positions for batch in batches]).tolist())
    lengths = np.array([len(batch) for batch in batches])
    together = sum({0, 1} <= set(batch.positions.tolist()) for batch in batches)

    assert independent().rate(4) == 0.4
    assert all(abs(counts[sample] - 800) < 5 * (2000 * 0.4 * 0.6) ** 0.5 for sample in range(10))
    assert abs(together - 320) < 5 * (2000 * 0.16 * 0.84) ** 0.5  # independent of each other
    assert lengths.var() == pytest.approx(10 * 0.4 * 0.6, rel=0.15)
    assert lengths.min() == 0


@pytest.mark.parametrize("how", ["cyclic", "shuffled"])
def test_each_pass_of_groups_has_every_sample_once_and_only_shuffled_ones_are_split_anew(how):
    training_set = stream(11)
    training_set.sample(how)
    batches = [sorted(batch.positions.tolist()) for batch in take(training_set, 4, 9)]

    assert training_set.groups(4) == 3
    assert {len(batch) for batch in batches} == {3, 4}
    for first in (0, 3, 6):
        assert sorted(place for batch in batches[first : first + 3] for place in batch) == list(range(11))
    assert (batches[:3] == batches[3:6] == batches[6:]) == (how == "cyclic")


@pytest.mark.parametrize("how", ["cyclic", "shuffled"])
def test_groups_go_on_where_they_stopped(how):
    straight, restored = stream(11), stream(11)
    for each in (straight, restored):
        each.sample(how)
    take(straight, 4, 5)
    restored.load_state_dict(straight.state_dict())

    for mine, theirs in zip(take(straight, 4, 6), take(restored, 4, 6), strict=True):
        assert torch.equal(mine.positions, theirs.positions)


def test_a_batch_as_large_as_the_set_is_the_set():
    (batch,) = take(independent(), 12)

    assert batch.positions.tolist() == list(range(10))


@pytest.mark.parametrize("before", [0, 1, 5])
def test_independent_batches_go_on_where_they_stopped(before):
    straight, restored = independent(), independent()
    take(straight, 4, before)
    restored.load_state_dict({name: tensor.clone() for name, tensor in straight.state_dict().items()})

    for mine, theirs in zip(take(straight, 4, 6), take(restored, 4, 6), strict=True):
        assert torch.equal(mine.positions, theirs.positions)


def test_an_empty_batch_has_images_of_the_right_shape():
    batches = take(independent(public=8), 1, 40)
    empty = next(batch for batch in batches if len(batch) == 0)

    assert empty.inputs.shape == (0, 1, 2, 2)
    assert empty.targets.shape == (0,)


def test_after_keeping_some_a_pass_has_these_once_and_at_their_places():
    training_set = stream(10, public=8)
    take(training_set, 4)
    training_set.keep_only(torch.tensor([1, 4, 7]))

    assert len(training_set) == 3
    for batch in take(training_set, 3, 4):
        assert sorted(batch.positions.tolist()) == [1, 4, 7]
    label_some(training_set)
    for batch in take(training_set, 6, 2):
        assert sorted(batch.positions.tolist()) == [1, 4, 7, 10, 11, 12]


def test_keeping_all_changes_nothing():
    plain, kept = stream(10), stream(10)
    take(plain, 4), take(kept, 4)
    kept.keep_only(torch.arange(10))

    assert plain.state_dict().keys() == kept.state_dict().keys()
    for one, other in zip(take(plain, 4, 6), take(kept, 4, 6), strict=True):
        assert torch.equal(one.positions, other.positions)


def test_independent_batches_are_of_kept_samples():
    training_set = stream(10)
    training_set.sample("poisson")
    training_set.keep_only(torch.tensor([0, 9]))

    assert {place for batch in take(training_set, 1, 30) for place in batch.positions.tolist()} == {0, 9}


def test_the_stream_of_kept_samples_continues_where_it_stopped():
    one, other = stream(10), stream(10)
    one.keep_only(torch.tensor([1, 2, 4, 5, 7]))
    take(one, 3)
    other.load_state_dict(one.state_dict())

    for mine, theirs in zip(take(one, 3, 4), take(other, 3, 4), strict=True):
        assert torch.equal(mine.positions, theirs.positions)


def test_public_samples_may_be_all_that_is_trained_on():
    training_set = stream(10, public=8, augment=lambda images, rng: images)
    targets = label_some(training_set)
    training_set.keep_only(torch.empty(0, dtype=torch.int64))
    restored = stream(10, public=8)
    restored.load_state_dict(training_set.state_dict())

    for each in (training_set, restored):
        (batch,) = take(each, 8)
        assert sorted(batch.positions.tolist()) == [10, 11, 12]
        assert torch.equal(batch.targets, targets[batch.positions - 10])
