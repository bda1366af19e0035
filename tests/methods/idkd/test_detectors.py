"""Detectors: their formulas, and the laws that hold for each of them."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from reference.distillation import MODELS, labelled, network
from reference.network import Network, random_data, seeded, sgd
from sklearn.metrics import roc_auc_score
from torch import nn

from methods.idkd import IDKD, detectors
from methods.idkd.detectors import DETECTORS
from simulator.core.errors import RunError
from simulator.core.samples import Samples
from topologies import Topology

LOGITS = np.random.default_rng(0).normal(size=(6, 4)) * 3
ABOVE_ALL = 1e6  # no score of any detector exceeds it


def score(name, temperature=1.0, logits=LOGITS):
    return getattr(detectors, name)(torch.from_numpy(logits), temperature).numpy()


def scored(net, samples, name, node=0, **settings):
    """Scores of ``samples`` by a node's detector."""
    config = IDKD.Config(first_round=1, detector=name, **settings)
    with net.nodes[node].using(net.module):
        return DETECTORS[name](net.nodes[node], config)(samples).scores


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_scores_of_logits_follow_their_formulas(temperature):
    exponentials = np.exp(LOGITS / temperature)
    p = exponentials / exponentials.sum(1, keepdims=True)

    np.testing.assert_allclose(score("msp", temperature), p.max(1), rtol=1e-12)
    np.testing.assert_allclose(score("energy", temperature), temperature * np.log(exponentials.sum(1)), rtol=1e-12)
    np.testing.assert_allclose(score("entropy", temperature), (p * np.log(p)).sum(1), rtol=1e-12)
    np.testing.assert_array_equal(score("max_logit", temperature), LOGITS.max(1))


def test_energy_is_the_largest_logit_when_cold():
    np.testing.assert_allclose(score("energy", 1e-3), LOGITS.max(1), rtol=1e-9)


@pytest.mark.parametrize("name", ["msp", "energy", "max_logit", "entropy"])
def test_a_more_certain_output_scores_higher(name):
    rising = score(name, logits=np.array([[1.0, 0, 0], [2.0, 0, 0], [9.0, 0, 0]]))

    assert (np.diff(rising) > 0).all()


def test_an_undecided_output_has_the_least_msp_and_entropy_score():
    undecided = np.ones((1, 4))

    assert score("msp", logits=undecided) == pytest.approx(1 / 4)
    assert score("entropy", logits=undecided) == pytest.approx(-np.log(4))


class TestNearestNeighbours:
    def features(self, net, samples):
        """What enters the last layer, of length 1, by hand."""
        node = net.nodes[0]
        net.module.bind(node.parameters)
        images = node.data.preparation(samples.inputs_at(torch.arange(len(samples))), torch.float64)
        with torch.no_grad():
            values = net.module.module[:-1](images).numpy()
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    @pytest.mark.parametrize("k", [1, 3, 24, 500])
    def test_is_the_distance_to_the_kth_nearest_training_sample_in_other_words(self, k):
        net = network("cnn")
        data = net.nodes[0].data
        public, train = self.features(net, data.public), self.features(net, data.train)
        distances = np.sort(np.linalg.norm(public[:, None] - train[None], axis=2), axis=1)[:, min(k, 24) - 1]

        found = scored(net, data.public, "knn", nearest=k).numpy()
        np.testing.assert_allclose(found, 1 - distances**2 / 2, atol=1e-12)

    def test_a_training_sample_is_as_near_as_can_be(self):
        net = network("cnn")

        np.testing.assert_allclose(scored(net, net.nodes[0].data.train, "knn", nearest=1), np.ones(24), rtol=1e-12)

    def test_chunks_do_not_change_a_score(self, monkeypatch):
        net = network()
        whole = scored(net, net.nodes[0].data.public, "knn")
        monkeypatch.setattr(detectors, "CHUNK", 7)

        torch.testing.assert_close(scored(net, net.nodes[0].data.public, "knn"), whole, rtol=0, atol=1e-12)

    def test_leaves_no_hook_behind(self):
        net = network()
        scored(net, net.nodes[0].data.public, "knn")

        assert not any(module._forward_pre_hooks for module in net.module.module.modules())

    def test_a_model_without_a_fully_connected_layer_is_refused(self):
        convolution = seeded(lambda: nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten()))
        methods = {"methods": lambda node: [IDKD(IDKD.Config(first_round=1, detector="knn"))]}
        net = Network(Topology.build("ring", 3), convolution, random_data(public=5), sgd(0.1), **methods)

        with pytest.raises(RunError, match=r"fully connected layer.*\n.*such as msp"):
            net.work()


def patterns(count, seed):
    """uint8 [count, 8, 8, 1] and int64 [count]: a class is a bright quarter of the image."""
    rng = np.random.default_rng(seed)
    labels, images = rng.integers(0, 3, count), rng.integers(0, 60, (count, 8, 8, 1))
    for image, label in zip(images, labels, strict=True):
        image[4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 180
    return torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels)


@pytest.fixture(scope="module")
def trained():
    """A node that has learnt bright quarters; more of them, and gray noise that is dimmer than them."""
    images, labels = patterns(60, seed=0)
    data = random_data(public=1)
    object.__setattr__(data, "train", Samples(images, labels, torch.arange(60)))
    net = Network(Topology.build("complete", 1), MODELS["mlp"], data, sgd(0.2, batch_size=20))
    net.run(60)
    more, _ = patterns(40, seed=1)
    noise = torch.from_numpy(np.random.default_rng(2).integers(60, 140, (40, 8, 8, 1), dtype=np.uint8))
    return net, Samples(more, None, torch.arange(40)), Samples(noise, None, torch.arange(40))


@pytest.mark.parametrize("name", DETECTORS)
class TestEveryDetector:
    def test_tells_what_the_model_knows_from_noise(self, trained, name):
        """Fails if a score has the wrong sign."""
        net, known, noise = trained
        scores = np.concatenate([scored(net, samples, name) for samples in (known, noise)])

        assert roc_auc_score(np.repeat([1, 0], 40), scores) > 0.9

    def test_a_score_does_not_depend_on_the_other_samples(self, name):
        net = network()
        public = net.nodes[0].data.public
        backwards = torch.arange(19, -1, -1)
        together = scored(net, public, name)

        torch.testing.assert_close(scored(net, public.subset(backwards), name), together[backwards], rtol=0, atol=1e-12)

    def test_scores_in_evaluation_mode(self, name):
        """With dropout, training mode would score otherwise each time."""
        layers = (nn.Flatten(), nn.Linear(64, 9), nn.Dropout(0.5), nn.Linear(9, 3))
        build = seeded(lambda: nn.Sequential(*layers))
        net = Network(Topology.build("complete", 1), build, random_data(public=20), sgd(0.1))
        first, again = (scored(net, net.nodes[0].data.public, name) for _ in range(2))

        assert torch.equal(first, again)

    def test_fewer_samples_pass_a_higher_threshold(self, name):
        found = []
        for threshold in (-3.0, -1.05, -1.0, 0.42, 0.99, 5.0):
            net = network(threshold=threshold, detector=name)
            net.round()
            found.append([set(labelled(net, node).tolist()) for node in range(4)])

        for more, fewer in pairwise(found):
            assert all(few <= many for many, few in zip(more, fewer, strict=True))
        assert sum(map(len, found[0])) > sum(map(len, found[-1]))

    def test_without_a_threshold_everything_is_labelled(self, name):
        net = network(threshold="none", detector=name)
        net.round()

        assert all(labelled(net, node).tolist() == list(range(20)) for node in range(4))

    def test_an_unreachable_threshold_changes_nothing(self, name):
        used = network(threshold=ABOVE_ALL, detector=name)
        unused = network(threshold=ABOVE_ALL, detector=name)
        for node in unused.nodes:
            node.methods.clear()

        assert np.array_equal(used.run(4), unused.run(4))
