"""What methods and mixers must hold alike, as functions of what builds a network of nodes that have them."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.registry import PartSettings
from simulator.core.seeding import global_states
from simulator.mixers.gossip import Gossip
from simulator.models.small import MLP
from simulator.testing.network import SteppedNetwork, of_images, random_data, seeded, sgd
from topologies import Topology

ROUNDS = 6
MODEL = seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3)))
DATA = [random_data(public=16, seed=node) for node in range(4)]

Build = Callable[[], SteppedNetwork]


def ring(nodes: int = 4, device: str = "cpu", **options: Any) -> SteppedNetwork:
    """Nodes on a ring (two: a pair), with random images, labels and public images; see `SteppedNetwork`."""
    options = {"mixer": lambda: Gossip(Gossip.Config()), **options}
    training = sgd(0.3, batch_size=8, local_steps=2).model_copy(update={"device": device})
    topology = Topology.build("ring" if nodes > 2 else "complete", nodes)
    return SteppedNetwork(topology, MODEL, DATA[:nodes], training, rounds=ROUNDS, **options)


def keeps_only_its_config(part: Callable[[Any], Any], config: PartSettings) -> None:
    """The constructor stores its settings and does nothing else that could fail."""
    assert part(config).config is config, "the constructor must keep its config"


def settings_can_be_written_out(config: PartSettings) -> None:
    """What an experiment file holds of the settings gives the same settings back."""
    written = config.model_dump(mode="json")
    assert type(config).model_validate(written) == config, f"settings change when they are written to a file: {written}"


@dataclass(frozen=True)
class Straight:
    """A network that has run all rounds at once, which others are compared with.

    Attributes:
        path: float [ROUNDS + 1, nodes, parameters], where its nodes stood.
        end: the states that they ended in.
    """

    path: NDArray[Any]
    end: list[dict[str, Tensor]]

    @classmethod
    def of(cls, network: SteppedNetwork) -> Straight:
        """Run a fresh ``network``."""
        path = network.run(ROUNDS)
        return cls(path, pickle.loads(pickle.dumps(network.states())))


def hold_alike(build: Build) -> None:
    """All laws of methods and mixers that compare with a run that went straight through."""
    seed_global_generators(1)
    straight = Straight.of(build())
    is_deterministic(build, straight)
    leaves_global_generators_alone(build, straight)
    does_not_depend_on_the_order_of_arrival(build, straight)
    survives_saving_and_loading(build, straight)


def is_deterministic(build: Build, straight: Straight | None = None) -> None:
    """Two runs are equal to the bit."""
    straight, again = straight or Straight.of(build()), Straight.of(build())
    assert np.array_equal(again.path, straight.path), "two equal runs differ"
    assert equal_states(again.end, straight.end), "two equal runs end in different states"


def leaves_global_generators_alone(build: Build, straight: Straight | None = None) -> None:
    """Neither draws from the generators of torch, numpy and random, nor depends on their state."""
    if straight is None:
        seed_global_generators(1)
        straight = Straight.of(build())
    network = build()
    seed_global_generators(2)
    before = global_states()
    path = network.run(ROUNDS)
    assert global_states() == before, "a global random generator was drawn from; use node.rng(purpose)"
    assert np.array_equal(path, straight.path), "results depend on a global random generator; use node.rng(purpose)"


def does_not_depend_on_the_order_of_arrival(build: Build, straight: Straight | None = None) -> None:
    """An inbox in reverse order gives the same bits."""
    straight, reversed_ = straight or Straight.of(build()), build()
    for _ in range(ROUNDS):
        reversed_.absorb(reversed_.work()[::-1])
    assert np.array_equal(reversed_.parameters, straight.path[-1]), "the order of arrival changes results"


def survives_saving_and_loading(build: Build, straight: Straight | None = None) -> None:
    """After any round, fresh nodes that load the state go on as the old ones do, to the bit."""
    straight, saved = straight or Straight.of(build()), build()
    for stop in range(1, ROUNDS):
        saved.round()
        resumed = build()
        resumed.load(pickle.loads(pickle.dumps(saved.states())))
        assert np.array_equal(resumed.run(ROUNDS - stop), straight.path[stop:]), f"lost state after round {stop}"
        assert equal_states(resumed.states(), straight.end), f"other state after resuming in round {stop}"


def survives_pickling(part: Callable[[Any], Any], build: Build) -> None:
    """Pickled and restored in the middle of a run, the part has the same state."""
    network = build()
    network.run(2)
    original = part(network.nodes[0])
    restored = pickle.loads(pickle.dumps(original))
    assert restored.config == original.config, "pickling changes the config"
    assert equal_tensors(restored.state_dict(), original.state_dict()), "pickling loses state"


def sends_are_never_written_to(build: Build) -> None:
    """What was handed out stays as it was through mixing and the next round's training."""
    network = build()
    messages = network.work()
    before = [{name: part.clone() for name, part in message.parts.items()} for message in messages]
    network.absorb(messages)
    network.work()
    for message, parts in zip(messages, before, strict=True):
        assert equal_tensors(dict(message.parts), parts), "a part was written to after it was sent"


def equal_states(one: Sequence[dict[str, Tensor]], other: Sequence[dict[str, Tensor]]) -> bool:
    """Whether both hold the same states of nodes, to the bit."""
    return all(equal_tensors(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def equal_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether both hold the same tensors under the same names."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def seed_global_generators(seed: int) -> None:
    """Seed the generators of torch, numpy and random."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
