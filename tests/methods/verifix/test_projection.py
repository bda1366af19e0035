"""The projection: the paper's, in another form, and its limits."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.network import random_data, seeded

from methods.verifix.activations import Inputs, layer_inputs, layers, rows
from methods.verifix.projection import corrected, importance, projected, spectrum
from simulator.core.flat_module import FlatModule
from simulator.models.resnet import ResNet20
from simulator.models.small import CNN
from simulator.testing.network import of_images

ALPHAS = st.floats(-2, 7).map(lambda power: 10.0**power)


@st.composite
def inputs(draw, full_rank=None):
    """float64 [d, m]: a layer's inputs as columns, their scale falling by up to five orders of magnitude.

    Where the rank matters, by one, and far from square: a random square matrix is nearly singular.
    """
    d = draw(st.integers(1, 12))
    m = draw(st.integers(*{None: (1, 40), True: (2 * d, 40), False: (1, 1 + d // 3)}[full_rank]))
    noise = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    scale = torch.logspace(0, -draw(st.floats(0, 5 if full_rank is None else 1)), d, dtype=torch.float64)
    return scale[:, None] * torch.randn(d, m, generator=noise, dtype=torch.float64)


def by_svd(r, alpha):
    """The released code's way: the singular value decomposition of the inputs themselves."""
    u, s, _ = torch.linalg.svd(r, full_matrices=False)
    shares = s**2 / (s**2).sum()
    return u @ torch.diag(alpha * shares / ((alpha - 1) * shares + 1)) @ u.T


def of(r):
    """The spectrum, from the Gram matrix."""
    return spectrum(Inputs(r @ r.T, is_gram=True))


def of_rows(r):
    """The spectrum, from the inputs themselves."""
    return spectrum(Inputs(r.T))


def projection(layer, alpha):
    """float64 [d, d], the projection itself."""
    return projected(torch.eye(layer.size, dtype=torch.float64), layer, alpha)


@given(inputs(), ALPHAS)
def test_the_gram_form_is_the_svd_form(r, alpha):
    rounding = 1e-15 * alpha  # a singular value of 0 comes out as some 1e-16, and counts alpha times
    torch.testing.assert_close(projection(of(r), alpha), by_svd(r, alpha), rtol=0, atol=1e-10 + rounding)
    torch.testing.assert_close(projection(of_rows(r), alpha), by_svd(r, alpha), rtol=0, atol=1e-10 + rounding)


@given(inputs())
def test_both_forms_tell_the_same_rank_and_shares(r):
    assert of(r).rank == of_rows(r).rank
    torch.testing.assert_close(of(r).all_shares, of_rows(r).all_shares, rtol=0, atol=1e-12)


@given(inputs(), ALPHAS)
def test_the_gram_form_has_a_closed_form_too(r, alpha):
    g = r @ r.T / (r @ r.T).trace()
    closed = alpha * g @ torch.linalg.inv((alpha - 1) * g + torch.eye(len(g), dtype=torch.float64))

    torch.testing.assert_close(projection(of(r), alpha), closed, rtol=0, atol=1e-6)  # this one inverts


@given(inputs(), ALPHAS)
def test_it_is_symmetric_with_eigenvalues_from_0_to_1(r, alpha):
    found = projection(of(r), alpha)
    values = torch.linalg.eigvalsh(found)

    torch.testing.assert_close(found, found.T, rtol=0, atol=1e-12)
    assert values.min() >= -1e-12
    assert values.max() <= 1 + 1e-12


@given(inputs(full_rank=True))
def test_a_large_alpha_gives_the_identity_on_full_rank(r):
    identity = torch.eye(len(r), dtype=torch.float64)

    assert of(r).rank == len(r)
    torch.testing.assert_close(projection(of(r), 1e12), identity, rtol=0, atol=1e-6)


@given(inputs(full_rank=False))
def test_a_large_alpha_gives_the_projector_on_what_the_samples_span(r):
    """And only there is it idempotent: directions are weighted otherwise, and a second time weighted again."""
    limit = projection(of(r), 1e9)

    assert of(r).rank == min(r.shape)
    torch.testing.assert_close(limit @ limit, limit, rtol=0, atol=1e-4)
    torch.testing.assert_close(limit @ r, r, rtol=0, atol=1e-4)
    assert limit.trace().item() == pytest.approx(of(r).rank, abs=1e-4)


@given(inputs())
def test_alpha_1_keeps_each_direction_by_its_share(r):
    assert projection(of(r), 1.0).trace().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(projection(of(r), 1.0), r @ r.T / (r @ r.T).trace(), rtol=0, atol=1e-12)


@given(inputs(), ALPHAS, ALPHAS)
def test_importance_grows_with_share_and_alpha(r, one, other):
    low, high = sorted((one, other))
    shares = of(r).shares

    assert (importance(shares, low) <= importance(shares, high) + 1e-12).all()
    assert (importance(shares, low).diff() <= 1e-12).all()


@given(inputs(), ALPHAS, st.floats(0.01, 100))
@pytest.mark.slow
def test_the_scale_of_the_inputs_does_not_matter(r, alpha, scale):
    torch.testing.assert_close(projection(of(r), alpha), projection(of(scale * r), alpha), rtol=0, atol=1e-9)


def test_an_input_that_is_always_0_has_no_directions():
    nothing = torch.zeros(3, 3, dtype=torch.float64)
    for is_gram in (True, False):
        dead = spectrum(Inputs(nothing, is_gram))
        assert dead.rank == 0
        assert torch.equal(projection(dead, 100.0), nothing)


MODELS = {
    "cnn": lambda: CNN(CNN.Config(width=2)).build(*of_images((8, 8, 1), 3)),
    "resnet20": lambda: ResNet20(ResNet20.Config(norm="group")).build(*of_images((8, 8, 1), 3)),
}


@pytest.fixture(params=list(MODELS), scope="module")
def case(request):
    """A model with random biases and gains, its data, and the spectra of its layers."""
    model, data = FlatModule(seeded(MODELS[request.param])(), "fp64"), random_data(samples=40)
    noise = torch.Generator().manual_seed(0)
    model.initial.add_(0.1 * torch.randn(len(model.initial), generator=noise, dtype=torch.float64))
    given = layer_inputs(model, data.train, data.preparation)
    return model, data, {name: spectrum(inputs) for name, inputs in given.items()}


def test_biases_and_normalisation_stay_and_every_other_weight_moves(case):
    model, _, spectra = case
    before, after = (model.named_views(p) for p in (model.initial, corrected(model, model.initial, spectra, 100.0)))

    assert spectra.keys() == {name for name, view in before.items() if view.dim() > 1}
    assert spectra.keys() < before.keys()
    for name in before:
        assert torch.equal(before[name], after[name]) == (name not in spectra), name


def test_weights_are_multiplied_with_the_projection(case):
    model, _, spectra = case
    before, after = (model.named_views(p) for p in (model.initial, corrected(model, model.initial, spectra, 30.0)))
    for name, layer in spectra.items():
        expected = before[name].reshape(len(before[name]), -1) @ projection(layer, 30.0)
        torch.testing.assert_close(after[name].reshape(expected.shape), expected, rtol=1e-12, atol=1e-12)


def test_the_milder_the_correction_the_nearer_the_outputs_of_the_samples_it_was_made_from(case):
    """In a layer of full rank or not: what the samples put in lies in the directions that are kept."""
    model, data, spectra = case
    layer_of = dict(layers(model.module))
    images = data.preparation(data.train.inputs_at(torch.arange(len(data.train))), torch.float64)
    first = next(iter(spectra))
    seen = rows(layer_of[first], images)

    def distance(alpha):
        moved = model.named_views(corrected(model, model.initial, spectra, alpha))[first].flatten(1)
        wanted = seen @ model.named_views(model.initial)[first].flatten(1).T
        return ((seen @ moved.T - wanted).norm() / wanted.norm()).item()

    distances = [distance(alpha) for alpha in (1.0, 1e2, 1e4, 1e9)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-4
