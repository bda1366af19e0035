"""What every method and every mixer must hold, as functions that a package with its own parts can call.

::

    from reference.conformance import check_method
    check_method(MyMethod, MyMethod.Config(strength=2))

Each check builds four nodes on a ring, with random images, labels and public images, and steps them by hand.
"""

import inspect
import pickle
import random
import re
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from simulator.core.method import Method
from simulator.core.mixer import Mixer
from simulator.core.registry import PartSettings
from simulator.core.samples import Batch
from simulator.core.seeding import generator
from simulator.mixers.gossip import Gossip
from simulator.models.small import MLP
from topologies import Topology

from .network import Network, random_data, seeded, sgd

ROUNDS = 6
MODEL = seeded(lambda: MLP(MLP.Config(hidden=(7,))).build((8, 8, 1), 3))
DATA = [random_data(public=16, seed=node) for node in range(4)]
ARXIV = re.compile(r"arXiv:\d{4}\.\d{4,5}")


def check_method(method: type[Method], config: PartSettings) -> None:
    """All laws of a method under ``config``.

    Raises:
        AssertionError: one is broken; the text says which.
    """
    names_its_paper(method)
    keeps_only_its_config(method, config)
    neutral_settings_change_nothing(method, config.name)
    build = _with_method(method, config)
    is_deterministic(build)
    leaves_global_generators_alone(build)
    does_not_depend_on_the_order_of_arrival(build)
    survives_saving_and_loading(build)
    survives_pickling(lambda node: node.methods[0], build)
    loss_rows_depend_on_their_own_sample_only(build)


def check_mixer(mixer: type[Mixer], config: PartSettings) -> None:
    """All laws of a mixer under ``config``.

    Raises:
        AssertionError: one is broken; the text says which.
    """
    names_its_paper(mixer)
    keeps_only_its_config(mixer, config)

    def build() -> Network:
        return _network(mixer=lambda: mixer(config))

    is_deterministic(build)
    leaves_global_generators_alone(build)
    does_not_depend_on_the_order_of_arrival(build)
    survives_saving_and_loading(build)
    survives_pickling(lambda node: node.mixer, build)
    sends_are_never_written_to(build)
    agreement_is_kept(mixer, config)


Build = Callable[[], Network]


def names_its_paper(part: type) -> None:
    """The docstring of the class or of its module gives an arXiv number."""
    texts = (part.__doc__ or "") + (inspect.getmodule(part).__doc__ or "")
    assert ARXIV.search(texts), f"{part.__name__}: name the paper in the docstring, as in arXiv:2102.04761"


def keeps_only_its_config(part: type, config: PartSettings) -> None:
    """The constructor stores its settings and does nothing else that could fail."""
    assert part(config).config is config, "the constructor must keep its config"


def neutral_settings_change_nothing(method: type[Method], name: str) -> None:
    """Under ``neutral`` settings, training is that without the method, to the bit; or its docstring says why not."""
    if method.neutral is None:
        assert "neutral" in (method.__doc__ or ""), "say in the docstring why no settings are neutral"
        return
    assert method.neutral, f"{method.__name__}.neutral must name settings that switch the method off"
    config = method.Config.model_validate({"name": name, **method.neutral})
    used, unused = _with_method(method, config)(), _network()
    assert np.array_equal(used.run(ROUNDS), unused.run(ROUNDS)), "neutral settings change training"


def is_deterministic(build: Build) -> None:
    """Two runs are equal to the bit."""
    first, second = build(), build()
    assert np.array_equal(first.run(ROUNDS), second.run(ROUNDS)), "two equal runs differ"
    assert _equal(first, second), "two equal runs end in different states"


def leaves_global_generators_alone(build: Build) -> None:
    """Neither draws from the generators of torch, numpy and random, nor depends on their state."""
    paths = []
    for seed in (1, 2):
        network = build()
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)  # noqa: NPY002
        before = _global_states()
        paths.append(network.run(ROUNDS))
        assert _global_states() == before, "a global random generator was drawn from; use node.rng(purpose)"
    assert np.array_equal(*paths), "results depend on a global random generator; use node.rng(purpose)"


def does_not_depend_on_the_order_of_arrival(build: Build) -> None:
    """An inbox in reverse order gives the same bits."""
    network, reversed_ = build(), build()
    for _ in range(ROUNDS):
        network.round()
        reversed_.absorb(reversed_.work()[::-1])
    assert np.array_equal(network.parameters, reversed_.parameters), "the order of arrival changes results"


def survives_saving_and_loading(build: Build) -> None:
    """After any round, fresh nodes that load the state go on as the old ones do, to the bit."""
    straight = build()
    for stop in range(1, ROUNDS):
        straight.round()
        states = pickle.loads(pickle.dumps(straight.states()))
        ahead, resumed = build(), build()
        ahead.run(stop)
        resumed.load(states)
        assert np.array_equal(resumed.run(ROUNDS - stop), ahead.run(ROUNDS - stop)), f"lost state after round {stop}"
        assert _equal(resumed, ahead), f"other state after resuming in round {stop}"


def survives_pickling(part: Callable[[object], object], build: Build) -> None:
    """Pickled and restored in the middle of a run, the part has the same state."""
    network = build()
    network.run(2)
    original = part(network.nodes[0])
    restored = pickle.loads(pickle.dumps(original))
    assert restored.config == original.config, "pickling changes the config"
    assert _same(restored.state_dict(), original.state_dict()), "pickling loses state"


def loss_rows_depend_on_their_own_sample_only(build: Build) -> None:
    """d losses[i] / d logits[j] is 0 for i != j, and another sample's logits do not move a loss."""
    node = build().nodes[0]
    method = node.methods[0]
    if type(method).per_sample_loss is Method.per_sample_loss or not method.row_wise:
        return
    rows = torch.arange(5)
    images = node.data.normalizer(node.data.train.images_at(rows), torch.float64)
    batch = Batch(images, node.data.train.labels_at(rows), rows)
    logits = torch.from_numpy(generator(0, "logits").normal(size=(5, node.data.classes))).requires_grad_()

    def losses(values: Tensor) -> Tensor:
        rows = torch.nn.functional.cross_entropy(values, batch.targets, reduction="none")
        return method.per_sample_loss(node, batch, values, rows)

    assert losses(logits).shape == (5,), "per_sample_loss must return one loss a sample"
    jacobian = torch.autograd.functional.jacobian(losses, logits)
    others = jacobian[~torch.eye(5, dtype=torch.bool)]
    assert (others == 0).all(), "a sample's loss depends on another sample"


def sends_are_never_written_to(build: Build) -> None:
    """What was handed out stays as it was through mixing and the next round's training."""
    network = build()
    messages = network.work()
    before = [{name: part.clone() for name, part in message.parts.items()} for message in messages]
    network.absorb(messages)
    network.work()
    for message, parts in zip(messages, before, strict=True):
        assert _same(dict(message.parts), parts), "a part was written to after it was sent"


def agreement_is_kept(mixer: type[Mixer], config: PartSettings) -> None:
    """Nodes that start alike and learn nothing stay where they are."""
    network = _network(mixer=lambda: mixer(config), methods=lambda node: [Nothing(None)])
    path = network.run(ROUNDS)
    np.testing.assert_allclose(path[-1], path[0], rtol=1e-12, atol=1e-12)


class Nothing(Method):
    """No gradient at all."""

    def before_step(self, node, batch):
        node.gradient.zero_()


def _network(**options) -> Network:
    options = {"mixer": lambda: Gossip(Gossip.Config()), **options}
    return Network(
        Topology.build("ring", 4), MODEL, DATA, sgd(0.3, batch_size=8, local_steps=2), rounds=ROUNDS, **options
    )


def _with_method(method: type[Method], config: PartSettings) -> Build:
    return lambda: _network(methods=lambda node: [method(config)])


def _equal(one: Network, other: Network) -> bool:
    return all(_same(mine, theirs) for mine, theirs in zip(one.states(), other.states(), strict=True))


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _global_states() -> tuple:
    numpy_state = np.random.get_state()  # noqa: NPY002
    return (torch.get_rng_state().numpy().tobytes(), numpy_state[1].tobytes(), numpy_state[2], random.getstate())
