"""All nodes of a worker as rows of one matrix: rounds in which nothing asks for messages go through it at once.

They are the rounds that `simulator.core.node_program` goes through node by node, bit by bit; any other round goes that
way, and each may follow the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from simulator.backends.row_sums import RowSums
from simulator.core.aligned_rows import aligned_like, aligned_rows
from simulator.core.backend import Order
from simulator.core.errors import diverged
from simulator.core.flat_module import FlatModule
from simulator.core.message import Alike, Ids, Message
from simulator.core.mixer import Mixer
from simulator.core.node_program import NodeProgram
from simulator.core.place import Places
from simulator.core.row_mixing import MixedRows, RowMixing
from simulator.training.hooks import overrides
from topologies import Links, Topology

OF_MESSAGES = (
    "outgoing", "incoming", "parts", "objection", "early_outgoing", "early_incoming", "early_parts", "mixes_with",
)  # fmt: skip
OF_MIXING = ("by_rows", "before_round", "after_local_training", "outgoing", "mix", "parts", "early_incoming", "traits")


class _Linked(NamedTuple):
    """Whom each of the nodes sends to in a round, and what each takes in."""

    receivers: Sequence[Sequence[int]]
    ends: Sequence[tuple[Ids, Ids]]  # senders and receivers of each node's messages
    active: Sequence[bool]
    sums: Callable[[int], RowSums]  # by which of the two matrices nodes stand in
    idle: Tensor  # int64: the rows of nodes that take none
    is_whole: bool  # whether each sum has a term of the node's own: one that weighs nothing is not in W


class Rows:
    """Carries such rounds: `begin`, training, `finish`, `send`, and `absorb` before the next one.

    Args:
        programs: of all nodes of a worker, in order of their ids.
        mixing: what their mixer does.
        topology: all nodes of all workers, and how they are linked where a round does not say otherwise.
    """

    def __init__(self, programs: Sequence[NodeProgram], mixing: RowMixing, topology: Topology) -> None:
        self._programs, self._mixing = programs, mixing
        self._nodes = [program.node for program in programs]
        self._ids = [node.id for node in self._nodes]
        self._known, self._have_methods = frozenset(self._ids), any(node.methods for node in self._nodes)
        self._always = topology.links if _sends_all_it_links(topology) else None
        heard = {other for id in self._ids for other in topology.in_neighbours(id)}
        self._elsewhere = sorted(heard - self._known)  # of other workers: what they send stands in rows of its own
        self._place = np.full(topology.num_nodes, -1)
        self._place[[*self._ids, *self._elsewhere]] = np.arange(len(self._ids) + len(self._elsewhere))
        own = [node.parameters for node in self._nodes]
        many = [*own, *(own[:1] * len(self._elsewhere))]
        # Nodes stand in one of two matrices, and what they mix is written to the other, where they stand then.
        self._matrices = [aligned_rows(many)]
        self._rows = [list(self._matrices[0][: len(own)])]
        self._at = 0
        self._gathered()
        del own, many  # which are no one's now, before as much is taken again
        self._matrices.append(aligned_like(self._matrices[0]))
        self._rows.append(list(self._matrices[1][: len(self._nodes)]))
        # Sent before training, parameters are kept aside.
        self._sent = aligned_like(self._matrices[0]) if mixing.early else None
        self._envelope = Message(0, 0, 0, {"parameters": self._rows[0][0]}).envelope
        self._linked = lru_cache(maxsize=1)(self._link)
        self._now: _Linked | None = None

    @classmethod
    def of(cls, programs: Sequence[NodeProgram], topology: Topology) -> Self | None:
        """For these nodes; None where their mixer, their methods or they themselves ask for messages."""
        mixer = programs[0].node.mixer
        mixing = mixer.by_rows(mixer.config) if _is_last_word(type(mixer)) else None
        if mixing is None or len(programs) == 1 or any(map(_asks_for_messages, programs)):
            return None
        return cls(programs, mixing, topology)

    @property
    def are_under_way(self) -> bool:
        """Whether a round is that they have begun."""
        return self._now is not None

    def forget(self) -> None:
        """Nothing is under way any more."""
        self._now = None

    def suit(self, order: Order) -> bool:
        """Whether what ``order`` begins is a round that they can carry: all nodes together, and none is recorded."""
        whole = order.begin and order.train and order.send == 1 and order.hear is None and not order.lie
        together = order.nodes is None or self._known.issubset(order.nodes)
        if not (whole and together) or self._nodes[0].finished + 1 in self._nodes[0].recorded:
            return False
        links = self._links(order)
        return links is not None and self._linked(links).is_whole

    def begin(self, order: Order, module: FlatModule) -> None:
        """Begin a round at all nodes; their methods are lent ``module`` in their hooks."""
        links = self._links(order)
        assert links is not None  # `suit` has looked
        self._now = self._linked(links)
        if self._sent is not None:
            self._sent[: len(self._ids)].copy_(self._gathered())
        stand = order.places if self._have_methods else None  # nobody else asks a node where it stands
        for program, active in zip(self._lending(module), self._now.active, strict=True):
            program.node.active = active
            program.begin(stand[program.node.id] if stand else None, by_rows=True)

    def finish(self, module: FlatModule) -> None:
        """Between local training and what is sent after it.

        Raises:
            RunError: training has diverged at a node.
        """
        finite = self._gathered().sum(dim=1).isfinite().tolist()
        if not all(finite):
            for node, is_finite in zip(self._nodes, finite, strict=True):
                if node.active and not is_finite:
                    raise diverged(node.id, node.round, "parameters")
        for program in self._lending(module) if self._have_methods else ():
            if program.node.active:
                program.finish(by_rows=True)

    def send(self) -> tuple[dict[int, Alike], list[Message]]:
        """The envelopes of what each node sends, and the messages to nodes of other workers."""
        assert self._now is not None  # begun
        sizes, wire, round = self._envelope.bytes_by_part, self._envelope.wire_bytes, self._nodes[0].round
        envelopes = {
            id: Alike(senders, receivers, round, sizes, wire)
            for id, (senders, receivers) in zip(self._ids, self._now.ends, strict=True)
        }
        leaving = list[Message]()
        if self._elsewhere:
            for id, receivers, row in zip(self._ids, self._now.receivers, self._terms(), strict=False):
                if others := [receiver for receiver in receivers if receiver not in self._known]:
                    parts = {"parameters": row.clone()}  # the row is written to again while others still read
                    leaving += [Message(id, receiver, round, parts) for receiver in others]
        return envelopes, leaving

    def absorb(self, arrived: Iterable[Message], module: FlatModule) -> None:
        """End the round: mix, with what has arrived from nodes of other workers."""
        assert self._now is not None  # begun
        own, terms = self._gathered(), self._terms()
        for message in {message.sender: message for message in arrived}.values():
            terms[self._place[message.sender]].copy_(message.parts["parameters"])
        for begin, end, total in self._now.sums(self._at).taken():
            mixed = self._mixing.mixed(MixedRows(total, own[begin:end], terms[begin:end]))
            if mixed is not total:
                total.copy_(mixed)
        other = 1 - self._at
        self._matrices[other][self._now.idle] = own[self._now.idle]
        for node, row in zip(self._nodes, self._rows[other], strict=True):
            node.parameters = row
        self._at, self._now = other, None
        for program in self._lending(module):
            program.end_by_rows()

    def _lending(self, module: FlatModule) -> Iterator[NodeProgram]:
        """The programs, one after the other, each lent ``module`` meanwhile."""
        if not self._have_methods:
            yield from self._programs
            return
        for program in self._programs:
            with program.node.using(module):
                yield program

    def _gathered(self) -> Tensor:
        """float [n, parameters], the nodes' own, which stand there from now on."""
        for node, row in zip(self._nodes, self._rows[self._at], strict=True):
            if node.parameters is not row:
                node.parameters = row.copy_(node.parameters)
        return self._matrices[self._at][: len(self._ids)]

    def _terms(self) -> Tensor:
        """float [n and those of other workers, parameters]: what is sent, once it is settled."""
        return self._matrices[self._at] if self._sent is None else self._sent

    def _links(self, order: Order) -> Links | None:
        return order.places.links if isinstance(order.places, Places) else None if order.places else self._always

    def _link(self, links: Links) -> _Linked:
        active = links.active[self._ids]
        rows = links.matrix[self._ids]
        is_whole = bool(links.matrix.diagonal()[self._ids].all())

        @cache
        def sums(at: int) -> RowSums:
            terms = self._matrices[at] if self._sent is None else self._sent
            return RowSums(rows, self._place, active, terms, self._matrices[1 - at])

        idle = torch.from_numpy(np.flatnonzero(~active))
        receivers = [links.out_neighbours(id) for id in self._ids]
        ends = [
            (np.full(len(to), id, np.int32), np.array(to, np.int32))
            for id, to in zip(self._ids, receivers, strict=True)
        ]
        return _Linked(receivers, ends, active.tolist(), sums, idle, is_whole)


def _sends_all_it_links(topology: Topology) -> bool:
    """Whether every link of the graph has a weight: a node is sent, and adds, even what weighs nothing."""
    weighty = topology.matrix.nnz - np.count_nonzero(topology.matrix.diagonal())
    directed = topology.graph.number_of_edges() * (1 if topology.graph.is_directed() else 2)
    return bool(weighty == directed)


def _is_last_word(mixer: type[Mixer]) -> bool:
    """Whether ``by_rows`` speaks of all hooks of a mixer: not where a class derived from its own has others."""
    ancestry = mixer.__mro__
    made = {name: next(place for place, each in enumerate(ancestry) if name in vars(each)) for name in OF_MIXING}
    return min(made.values()) == made["by_rows"]


def _asks_for_messages(program: NodeProgram) -> bool:
    node = program.node
    methods = any(overrides(type(method), hook) for method in node.methods for hook in OF_MESSAGES)
    lies = node.attackers is not None or node.attacker is not None
    changed = not vars(node.mixer).keys().isdisjoint(OF_MIXING)  # hooks of this mixer alone
    return methods or lies or changed or program.exchanges > 1 or program.is_observed or bool(node.data.modalities)
