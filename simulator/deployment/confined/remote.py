"""The administrator's side: the node of a confined process, whose every word is held against what may be."""

from __future__ import annotations

import socket
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
from safetensors.torch import load, save
from torch import Tensor

from simulator.core.backend import Order, Reply
from simulator.core.declaration import Declared
from simulator.core.message import Message
from simulator.core.mixer import MIXERS, Mixer
from simulator.core.place import Place
from simulator.core.promise import Promise
from simulator.data.sites.sums import Sums
from simulator.deployment.carried import Counts
from simulator.deployment.confined.channel import NOTHING, Channel
from simulator.deployment.confined.declaration import Declaration
from simulator.deployment.confined.said import misfit
from simulator.deployment.confined.steps import written
from simulator.deployment.open_settings import OpenSettings
from simulator.deployment.printable import excerpt
from simulator.deployment.site.asked import Asked, AskedStatistics, sizes
from simulator.deployment.testimony import Testimony
from simulator.deployment.transport.positions import Positions
from simulator.deployment.transport.wire import decode

LARGEST = 1e300  # of an epsilon that is a number
FIRST = 2**34  # bytes of what comes before the model's size is known: the model itself


class ConfinedNode:
    """A `CarriedNode` in a confined process.

    Args:
        node: which one.
        neighbours: who receives what it sends.
        settings: of the experiment, as they stand in its file.
        on: where the process is spoken to.
        given: what it makes the node of; see `simulator.deployment.confined.program`.
        pieces: likewise.

    Raises:
        InputError: the node cannot be made.
        RunError: what the process says is not what it may say.
        Lost: it has died.
    """

    def __init__(
        self,
        node: int,
        neighbours: Iterable[int],
        settings: OpenSettings,
        on: socket.socket,
        given: Mapping[str, Any],
        pieces: Mapping[str, bytes] = NOTHING,
    ) -> None:
        self._node, self._neighbours, self._settings = node, tuple(sorted(neighbours)), settings
        self._channel = Channel(node, on)
        self._round, self._place, self._costs = 0, Place(node, {}, ()), dict[int, float]()
        frame = self._channel.ask({"word": "make", **given}, pieces, FIRST)
        with self._channel.understanding():
            self._declaration = Declaration.model_validate(frame.head)
            self._table, tensors = self._declaration.table(), load(frame.pieces["tensors"])
            self.parameters = self._vector(tensors["parameters"])
            running = tensors.get("running")
            self.sums = self._sums(frame.pieces.get("sums"))
            self._check_mechanism()
        variants = frozenset(settings.methods)
        self._testimony = Testimony(self.parameters, variants, self.exchanges, running)
        self.shared, self.content, self.tolerant = (
            self._declaration.shared,
            self._declaration.content,
            self._declaration.tolerant,
        )
        self.counts = Counts(*self._declaration.counts)

    @property
    def exchanges(self) -> int:
        """How many exchanges a round has."""
        return self._declaration.exchanges

    @cached_property
    def asked(self) -> Asked:
        """What the experiment asks of the node: sizes, receivers and terms as this side knows them, the rest as said.

        A bound on what a round changes can be held only where this side can see the model in the message.
        """
        said, settings, promise = self._declaration, self._settings, self._promise
        links = settings.network.base
        statistics = AskedStatistics.of(self._node, self.counts.train, settings.sites, links, promise)
        parts, largest = sizes(self, self._node, self._neighbours, settings.rounds, statistics)
        return Asked(
            rounds=settings.rounds,
            exchanges=said.exchanges,
            receivers=self._neighbours,
            parts=parts,
            largest=largest,
            mechanism=said.mechanism,
            promise=promise,
            recordings=said.recordings,
            labels=tuple(said.labels),
            collects=said.collects,
            bounded=said.bounded and self._shows_models,
            samples=self.counts.train,
            statistics=statistics,
        )

    def declared(self, sender: int, receiver: int, round: int, exchange: int) -> Mapping[str, Declared]:
        """What a message between this node and a neighbour holds."""
        ends, kinds = self._table.get(f"{sender}>{receiver}", ((), ()))
        at = bisect_right(ends, Positions(self.exchanges).of(round, exchange))
        return kinds[at] if at < len(kinds) else {}

    def objection(self, message: Message) -> str | None:
        """What mixer or methods have against a message that has arrived."""
        said = self._channel.ask({"word": "object"}, {"message": message.encode()}, 0).head.get("objection")
        return None if said is None else excerpt(said)

    def shown(self, message: Message) -> Tensor | None:
        """The model in a message, where the mixer puts it there as it is; what others make of it is not known here."""
        return message.parts.get("parameters") if self._shows_models else None

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state that a snapshot gave."""
        self._channel.ask({"word": "load"}, {"state": save(dict(state))}, 0)
        self._round, self.parameters = int(state["round"]), state["parameters"]

    def superstep(self, order: Order, arrived: Iterable[Message] = ()) -> tuple[Reply, list[Message]]:
        """Carry out ``order``.

        Raises:
            RunError: what comes back is not what the node may say of it.
        """
        letters = {f"arrived/{k}": message.encode() for k, message in enumerate(arrived)}
        frame = self._channel.ask({"word": "step", **written(order, self._node)}, letters, self._most)
        self._place = (order.places or {}).get(self._node, self._place)
        with self._channel.understanding():
            reply = decode(frame.pieces["reply"])
            sent = [Message.decode(data) for name, data in frame.pieces.items() if name.startswith("sent/")]
            if wrong := misfit(reply, sent, order, self._round, self._place, self._testimony):
                raise ValueError(wrong)
            if order.absorb:
                self.parameters = self._vector(load(frame.pieces["tensors"])["parameters"])
                self._round += 1
        return reply, sent

    @property
    def _promise(self) -> Promise | None:
        form = self._declaration.promise
        return None if form is None else Promise(form.unit, form.delta, self._cost, form.lasts)

    @property
    def _shows_models(self) -> bool:
        name = self._settings.mixer
        return ":" not in name and MIXERS.load(name).shown is Mixer.shown

    @property
    def _most(self) -> int:
        return self._testimony.largest(len(self._neighbours)) + self.asked.largest * len(self._neighbours)

    def _check_mechanism(self) -> None:
        said = self._declaration
        if said.mechanism not in ("none", *self._settings.methods):
            raise ValueError("a mechanism that the experiment does not name")
        if (said.mechanism == "none") != (said.promise is None):
            raise ValueError("a promise without a mechanism, or a mechanism without one")

    def _cost(self, rounds: int) -> float:
        """What so many rounds cost, as the experiment's code says: always the same, and never less for more of them."""
        if rounds not in self._costs:
            said = self._channel.ask({"word": "cost", "rounds": rounds}, NOTHING, 0).head.get("epsilon")
            if said is not None and not (type(said) in (int, float) and 0 <= said < LARGEST):
                raise self._channel.refusal("an epsilon that is none")
            cost = inf if said is None else float(said)
            if any((other - rounds) * (before - cost) < 0 for other, before in self._costs.items()):
                raise self._channel.refusal("an epsilon that falls with the number of rounds")
            self._costs[rounds] = cost
        return self._costs[rounds]

    def _vector(self, tensor: Tensor) -> Tensor:
        """``tensor``, as the node's parameters: as many as there were, and one dimension."""
        before = getattr(self, "parameters", tensor)
        if tensor.dim() != 1 or tensor.shape != before.shape or tensor.dtype != before.dtype:
            raise ValueError("parameters of another size")
        return tensor

    def _sums(self, data: bytes | None) -> Sums | None:
        sites = self._settings.sites
        if data is None or sites is None or sites.statistics is None:
            return None
        found = np.frombuffer(data).reshape(3, len(sites.data_schema.without_statistics))
        if not np.isfinite(found).all():
            raise ValueError("sums that are not finite")
        return found
