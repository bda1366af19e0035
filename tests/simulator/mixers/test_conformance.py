"""Every installed mixer holds the laws of mixers."""

import numpy as np
import pytest
from reference.conformance import names_its_paper
from reference.experiments import small
from reference.marks import first
from reference.pretended_gpu import ON_A_GPU

from methods.neighbourhood_gradient_clustering import NeighbourhoodGradientClustering
from simulator import run
from simulator.core.declaration import Declared
from simulator.core.errors import RunError
from simulator.core.mixer import MIXERS
from simulator.mixers.gossip import Gossip
from simulator.testing import check_mixer
from simulator.testing.laws import ring

# Settings to test; a mixer not named here runs with its defaults.
SETTINGS = {
    "gossip": [
        {"order": "adapt_then_combine", "rate": 1},
        {"order": "combine_then_adapt", "rate": 0.3},
        {"order": "adapt_then_combine", "rate": 0.3},
        {"order": "combine_then_adapt", "rate": 1},
    ],
    "choco": [{"compression": name, "gamma": 0.5} for name in ("top_k", "sign", "none")],
    "ada_gossip": [{"compression": name, "gamma": 0.01, "beta": 0.9} for name in ("top_k", "sign", "none")],
    "relay_sum": [{"fill": "own"}, {"fill": "initial"}],
    "clipped_gossip": [
        {"tau": 0.5},
        {"tau": None},
        {"radius": "node", "delta": 0.2},
        {"radius": "link", "delta": 0.2},
    ],
    **{name: [{"byzantine": f} for f in (1, 0)] for name in ("cs_plus", "gts", "nna", "trimmed_mean", "ios", "krum")},
}
CASES = [case for name in MIXERS.names() for case in first((name, settings) for settings in SETTINGS.get(name, [{}]))]


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_mixer_conforms(name, settings):
    mixer = MIXERS.load(name)

    check_mixer(mixer, mixer.Config.model_validate({"name": name, **settings}))


@ON_A_GPU
@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_a_mixer_is_the_same_on_a_gpu(name, settings, check):
    mixer = MIXERS.load(name)
    config = mixer.Config.model_validate({"name": name, **settings})
    nodes = 2 if mixer.traits(config).pairwise else 4

    check(lambda device: ring(nodes, device, mixer=lambda: mixer(config)))


@pytest.mark.parametrize("name", MIXERS.names())
def test_a_mixer_names_its_paper(name):
    names_its_paper(MIXERS.load(name))


@pytest.mark.parametrize("name", MIXERS.names())
def test_the_name_in_the_config_is_the_registered_one(name):
    assert MIXERS.load(name).Config.model_fields["name"].default == name


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_a_message_shows_what_the_mixer_declares(name, settings):
    """In the second round, in which sums and replicas are no models that were just trained."""
    mixer = MIXERS.load(name)
    config = mixer.Config.model_validate({"name": name, **settings})
    traits = mixer.traits(config)
    if traits.pairwise or name == "push_sum":  # whose weights are 1 on a ring, so that numerators are models there
        return
    network = ring(mixer=lambda: mixer(config))
    network.round()
    start, messages = network.parameters, network.work()
    sent = start if traits.sends_early else network.parameters
    whole = [np.array_equal(m.parts["parameters"], sent[m.sender]) for m in messages if "parameters" in m.parts]
    shown = [network.nodes[message.sender].mixer.shown(network.nodes[message.sender], message) for message in messages]
    trained = [
        s is not None and np.array_equal(s, network.parameters[m.sender]) for s, m in zip(shown, messages, strict=True)
    ]
    assert traits.sends_models == (len(whole) == len(messages) and all(whole))
    assert traits.shows_trained == all(trained)


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_a_mixer_declares_that_models_are_all_it_sends_of_samples(name, settings):
    """Else differential privacy is refused beside it."""
    mixer = MIXERS.load(name)
    assert mixer.traits(mixer.Config.model_validate({"name": name, **settings})).beside_models is None


class Own(Gossip):
    class Config(Gossip.Config):
        name: str = "own"


class SendsItself(Own):
    """Hands out the live vector (arXiv:0000.00000)."""

    def outgoing(self, node, to):
        return {"parameters": node.parameters}


class LosesMass(Gossip):
    """Weights that do not sum to 1 (arXiv:0000.00000)."""

    def mix(self, node, inbox):
        super().mix(node, inbox)
        node.parameters.mul_(0.99)


class WritesToTheInbox(Own):
    """Adds up in what it was sent (arXiv:0000.00000)."""

    def mix(self, node, inbox):
        *others, last = (message.parts["parameters"] for message in inbox)
        for other in others:
            last.add_(other)
        node.parameters.add_(last).div_(1 + len(inbox))


class OnlyReturns(Own):
    """Keeps the mixed parameters from the node (arXiv:0000.00000)."""

    def mix(self, node, inbox):
        return sum(message.parts["parameters"] for message in inbox) / len(inbox)


class Forgets(Own):
    """Makes something to send, and does not return it (arXiv:0000.00000)."""

    def outgoing(self, node, to):
        super().outgoing(node, to)


class SendsNoParts(Own):
    """Returns what is to be sent without its name (arXiv:0000.00000)."""

    def outgoing(self, node, to):
        return super().outgoing(node, to)["parameters"]


class SendsAView(Own):
    """Hands out the end of the live vector, as a second part (arXiv:0000.00000)."""

    def parts(self, node, sender, round):
        return {**super().parts(node, sender, round), "end": Declared.like(node.parameters[-3:])}

    def outgoing(self, node, to):
        return {**super().outgoing(node, to), "end": node.parameters[-3:]}


def test_the_suite_catches_a_broken_mixer():
    with pytest.raises(AssertionError, match="Not equal"):
        check_mixer(LosesMass, LosesMass.Config())


@pytest.mark.parametrize(
    ("mixer", "complaint"),
    [
        (SendsItself, r"(?s)'parameters' of the message of node 0 to node \d in round 1 is the node's own.*clone\(\)"),
        (SendsAView, r"'end' of the message of node 0 to node \d in round 1 is the node's own"),
        (SendsNoParts, "outgoing of own returns Tensor, at node 0 in round 1"),
        (WritesToTheInbox, r"(?s)what node 0 was sent in round 1 has been written to.*work on copies"),
        (Forgets, r"(?s)outgoing of own returns NoneType, at node 0 in round 1.*Return a Mapping"),
        (OnlyReturns, r"(?s)mix of own returns Tensor, at node 0 in round 1.*written to the node"),
    ],
)
def test_what_would_silently_mix_otherwise_ends_a_run_and_the_suite(mixer, complaint, register, tmp_path):
    with pytest.raises(RunError, match=complaint):
        check_mixer(mixer, mixer.Config())
    register("mixers", "own", mixer)
    with pytest.raises(RunError, match=complaint):
        run(small("rounds=1", "evaluate.every=1", mixer="own"), tmp_path)


class ScalesWhatItHears(NeighbourhoodGradientClustering):
    """Works on what was sent before training (arXiv:0000.00000)."""

    class Config(NeighbourhoodGradientClustering.Config):
        name: str = "own"

    def early_incoming(self, node, exchange, inbox):
        for message in inbox:
            message.parts["parameters"].mul_(2)


@pytest.mark.parametrize(
    ("mixer", "method"), [(WritesToTheInbox, NeighbourhoodGradientClustering), (Own, ScalesWhatItHears)]
)
def test_what_was_sent_before_training_is_not_written_to_either(mixer, method, register, tmp_path):
    register("mixers", "own", mixer)
    register("methods", method.Config().name, method)
    early = {"name": "own", "order": "combine_then_adapt"}
    with pytest.raises(RunError, match="what node 0 was sent in round 1 has been written to"):
        run(small("training.local_steps=1", mixer=early, methods=[method.Config().name]), tmp_path)
