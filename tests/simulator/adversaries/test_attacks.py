"""Each attack's message, held against its formula; and what it does to gossip."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from reference.lying import Lying

from simulator.adversaries.alie import published_z
from simulator.core.adversary import ADVERSARIES

STAR = {0: 0.4, 1: 0.2, 2: 0.1, 3: 0.3}  # node 0's row of W: it hears 1 and 2, honest, and 3, the attacker
MODELS = {0: [1.0, -2.0], 1: [2.0, 0.0], 2: [0.0, 4.0]}
OWN = [5.0, 5.0]


@pytest.fixture
def lying() -> Lying:
    return Lying(row=STAR, models=MODELS, own=OWN, attacker=3)


def test_sign_flip_turns_its_own_model_round(lying):
    assert lying.craft("sign_flip", strength=4).tolist() == [-20, -20]


def test_gaussian_noise_has_its_strength_and_is_the_same_for_all(lying):
    wide = Lying(row=STAR, models={j: np.zeros(20_000) for j in MODELS}, own=np.ones(20_000), attacker=3)
    sent = wide.craft("gaussian", strength=3)
    assert sent.mean().item() == pytest.approx(1, abs=0.1)
    assert sent.std().item() == pytest.approx(3, rel=0.03)
    assert torch.equal(sent, wide.craft("gaussian", strength=3, to=1))


def test_alie_is_z_deviations_below_the_mean_with_the_divisor_n_minus_1(lying):
    models = np.array(list(MODELS.values()))
    expected = models.mean(axis=0) - 1.5 * models.std(axis=0, ddof=1)
    np.testing.assert_allclose(lying.craft("alie"), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("nodes", "attackers", "z"),
    [(4, 1, -0.43), (5, 1, 0), (6, 1, -0.25), (7, 1, 0), (10, 2, 0), (20, 4, 0.16), (50, 12, 0.34)],
)
def test_the_published_z_is_no_attack_in_small_neighbourhoods(nodes, attackers, z):
    assert published_z(nodes, attackers) == pytest.approx(z, abs=0.005)


def test_ipm_goes_back_from_where_the_receiver_began(lying):
    starts = {0: [0.5, 0.5], 1: [1.0, 1.0], 2: [0.0, 0.0]}
    update = np.mean([np.subtract(MODELS[j], starts[j]) for j in MODELS], axis=0)
    sent = lying.craft("ipm", strength=0.7, starts=starts)
    np.testing.assert_allclose(sent, np.array(starts[0]) - 0.7 * update, rtol=1e-12)


def test_ipm_of_models_is_their_mean_shrunk_and_turned_round(lying):
    expected = -0.1 * np.mean(list(MODELS.values()), axis=0)
    np.testing.assert_allclose(lying.craft("ipm", on="model"), expected, rtol=1e-12)


@pytest.mark.parametrize("strength", [1e-300, 0.5, 1.0, 1.5])
def test_dissensus_scales_what_honest_neighbours_do_by_1_minus_its_strength(lying, strength):
    honest = lying.step_of_honest_neighbours()
    moved = lying.gossip_step("dissensus", strength=strength)
    np.testing.assert_allclose(moved, (1 - strength) * honest, atol=1e-12)


def test_isolation_is_dissensus_of_strength_1(lying):
    np.testing.assert_allclose(lying.gossip_step("isolation"), 0, atol=1e-12)
    np.testing.assert_array_equal(lying.craft("isolation"), lying.craft("dissensus", strength=1))


def test_spectral_feeds_the_difference_along_the_fiedler_vector(lying):
    v = {0: 0.6, 1: -0.8, 2: 0.0}
    across = sum(v[j] * np.array(MODELS[j]) for j in MODELS)
    sent = lying.craft("spectral", strength=2, fiedler=v)
    np.testing.assert_allclose(sent, np.array(MODELS[0]) + 2 * v[0] * across, rtol=1e-12)


def test_mimic_sends_one_honest_model_to_all(lying):
    sent = [lying.craft("mimic", node=2, to=to) for to in (0, 1)]
    assert [each.tolist() for each in sent] == [MODELS[2], MODELS[2]]


def test_mimic_finds_the_node_that_differs_most_along_the_direction_in_which_nodes_differ():
    rng = np.random.default_rng(0)
    spread = np.array([[10.0, 0, 0], [-9.0, 0, 0], [1.0, 0, 0], [0, 0, 0]]) + rng.normal(0, 0.1, (4, 3))
    lying = Lying(row=dict.fromkeys(range(5), 0.2), models=dict(enumerate(spread)), own=np.zeros(3), attacker=4)
    assert lying.craft("mimic").tolist() == spread[0].tolist()


def test_a_silent_attacker_sends_nothing_and_another_what_is_no_number(lying):
    assert lying.craft("silent") is None
    assert lying.craft("non_finite").isnan().all()
    assert lying.craft("non_finite", value="inf").isinf().all()


def test_replacement_makes_the_receivers_model_the_attackers_if_its_honest_neighbours_hold_the_same():
    same = {j: [1.0, -2.0] for j in (0, 1, 2)}
    lying = Lying(row=STAR, models=same, own=OWN, attacker=3)
    moved = lying.gossip_step("backdoor", replace=True)
    np.testing.assert_allclose(np.array(same[0]) + moved, OWN, atol=1e-12)


@pytest.mark.parametrize("name", ["alie", "ipm", "dissensus", "isolation", "spectral", "mimic"])
def test_an_attacker_that_knows_nothing_yet_sends_its_own_model(name):
    ignorant = Lying(row=STAR, models={}, own=OWN, attacker=3)
    assert ignorant.craft(name).tolist() == OWN


def test_a_strength_below_0_is_refused():
    with pytest.raises(ValidationError, match="strength"):
        ADVERSARIES.load("dissensus").Config(strength=-1)
