"""The node program, the same on every backend: begin a round, exchange messages, train, send, mix."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import isfinite
from typing import Any

from torch import Tensor

from simulator.core.buffers.exchange import StatisticsExchange
from simulator.core.declaration import Declared, misfit
from simulator.core.errors import RunError, diverged
from simulator.core.hook_results import call, check_copied, check_unwritten, returned, versions
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.mixer import Mixer
from simulator.core.node import Node, undeclared
from simulator.core.place import Place
from simulator.core.recording import Draft, marks_sent
from simulator.core.under_attack import is_sound


class NodeProgram:
    """Carries one node through its rounds; a backend calls it, and mixer and methods never see it.

    A round is a list of exchanges: the early ones, which methods declare (`Traits.exchanges`), come before local
    training, and one after it. Each is ``send`` at one end of a link and ``hear`` at the other, but the last one is
    taken in by ``absorb``, which ends the round. A mixer whose message is known before training (`MixerTraits`) sends
    it in the first exchange; ``absorb`` mixes it all the same.

    Args:
        node: with its mixer and methods, at its beginning.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        traits = node.mixer.traits(node.mixer.config)
        self.exchanges = 1 + sum(each.exchanges for each in node.traits)
        self._pairwise = traits.pairwise
        self._mixing = 1 if traits.sends_early else self.exchanges
        self._heard: Sequence[Message] = ()
        self._held: Sequence[Message] = ()
        self._draft: Draft | None = None
        self._start: Tensor | None = None
        self._statistics = StatisticsExchange(node) if node.buffers and node.buffers.settings.ever_travel else None

    @property
    def is_observed(self) -> bool:
        """Whether more than parameters travels, or is looked at on its way, in every round."""
        return self._statistics is not None or self.node.marks is not None

    def begin(self, place: Place | None = None, *, by_rows: bool = False) -> None:
        """Begin a round; ``place`` holds from now on. Exchanges and training follow at nodes that are active.

        Args:
            place: where the node stands; None: where it stood.
            by_rows: whether its worker does what the mixer would do: see `RowMixing`.
        """
        node = self.node
        if place is not None:
            node.stand(place)
        elif node.attackers:
            node.weights = node.row  # what they withheld was lost for that round alone
        node.under_way = True
        if node.buffers is not None:
            node.buffers.fixed = node.buffers.settings.fixed_in(node.round)
        self._draft = Draft(node, node.unrecorded) if node.round in node.recorded else None
        self._heard = ()
        if not node.active:
            return
        if node.attacker:
            node.attacker.begin(node)
        elif node.attackers and node.attackers.starts:
            self._start = node.parameters.clone()
        optimizer, schedule = node.training.optimizer, node.training.schedule
        node.learning_rate = optimizer.lr * schedule.factor(node.finished, node.rounds)
        node.local_steps = node.training.local_steps
        if not by_rows:
            call(node, "before_round", [node.mixer])
        call(node, "before_round", node.methods)
        if node.local_steps != node.training.local_steps and not any(each.changes_steps for each in node.traits):
            raise undeclared("changed node.local_steps", "changes_steps")

    def finish(self, *, by_rows: bool = False) -> None:
        """Between local training and what is sent after it; where it goes ``by_rows``, the worker has done its part."""
        node = self.node
        if not by_rows and not isfinite(node.parameters.sum().item()):
            raise diverged(node.id, node.round, "parameters")
        call(node, "after_local_training", node.methods)
        if not by_rows:
            call(node, "after_local_training", [node.mixer])

    def send(self, exchange: int, place: Place | None = None) -> list[Message]:
        """The messages of ``exchange``, one a neighbour; ``place`` holds from now on."""
        if place is not None:
            self.node.stand(place)
        if self._statistics:
            self._statistics.prepare()
        messages = [self._message(to, exchange) for to in self.node.receivers]
        sent = [message for message in messages if message.parts]  # between nodes kept apart there may be none
        attackers, attacker = self.node.attackers, self.node.attacker
        if attackers is None or exchange != self._mixing:
            return self._leaving(sent)
        if attacker is None:
            return [*self._leaving(sent), *attackers.told(sent, self._start)]
        if attacker.waits(self.node):
            self._held = sent
            return []
        return self._leaving(attacker.lie(self.node, sent))

    def lie(self, overheard: Sequence[Message]) -> list[Message]:
        """The messages of an omniscient attacker, once it knows what honest nodes send."""
        node, held, self._held = self.node, self._held, ()
        if node.attacker is None or not node.attacker.waits(node):
            return []
        node.attacker.overhear(overheard)
        return self._leaving(node.attacker.lie(node, held))

    def _leaving(self, sent: list[Message]) -> list[Message]:
        """``sent``, kept where it is recorded."""
        if self._draft is not None:
            self._draft.sent(self.node, sent)
        if self.node.marks and (recording := marks_sent(self.node, self.node.marks, sent)):
            self.node.recordings.append(recording)
        return sent

    def hear(self, exchange: int, inbox: Sequence[Message]) -> None:
        """Take in the messages of an ``exchange`` after which the round goes on."""
        node, messages = self.node, self._accepted(inbox, exchange)
        before = versions(messages)
        if exchange == self._mixing:
            self._heard = messages
        node.mixer.early_incoming(node, exchange, messages)
        if self._statistics and self._pairwise:
            self._statistics.answer(messages)
        for method in node.methods:
            method.early_incoming(node, exchange, messages)
        check_unwritten(node, messages, before)

    def lose(self, senders: Collection[int]) -> None:
        """What these have sent will never come: what they would have weighed, the node itself weighs.

        Not so where the mixer's part of it has been heard before.
        """
        heard = {message.sender for message in self._heard}
        self.node.weights = self.node.without(self.node.weights, set(senders) - heard)

    def absorb(self, inbox: Sequence[Message]) -> None:
        """End a round: hand the neighbours' messages to the methods, mix, and let the methods look at the result."""
        if self.node.active:
            self._mix(inbox)
        self.node.finished, self.node.under_way = self.node.finished + 1, False
        if self._draft is not None:
            self.node.recordings.append(self._draft.finished(self.node))
            self._draft = None

    def end_by_rows(self) -> None:
        """End a round in which the worker has mixed."""
        node = self.node
        if node.active:
            call(node, "after_mixing", reversed(node.methods))
        node.finished, node.under_way = node.finished + 1, False

    def declared(self, sender: int, receiver: int, round: int, exchange: int) -> dict[str, Declared]:
        """What a message between this node and a neighbour holds in an ``exchange`` of ``round``, by part."""
        node, number = self.node, self.node.number_of(sender)
        mixes = self._carries_models(exchange) and node.mixes_with(receiver if sender == node.id else sender)
        parts = dict(node.mixer.parts(node, number, round)) if mixes else {}
        if mixes and self._statistics:
            parts |= self._statistics.parts(round)
        for method in node.methods:
            early = exchange < self.exchanges
            parts |= method.early_parts(node, number, round, exchange) if early else method.parts(node, number, round)
        return parts

    def objection(self, message: Message) -> str | None:
        """What is wrong with a message that has arrived, although its parts are as declared; None if nothing is."""
        node = self.node
        mixes = self._carries_models(message.exchange) and node.mixes_with(message.sender)
        owners: Sequence[Mixer | Method] = [node.mixer, *node.methods] if mixes else node.methods
        if self._statistics and (wrong := self._statistics.objection(message)):
            return wrong
        return next(filter(None, (owner.objection(node, message) for owner in owners)), None)

    def finalize(self) -> None:
        """After the last round, which may come before the planned one."""
        self.node.rounds = min(self.node.rounds, self.node.finished)
        for method in self.node.methods:
            method.finalize(self.node)

    def variants(self) -> dict[str, Tensor]:
        """Between rounds: the models to be evaluated beside the node's own, by the name of the method that made it."""
        made = [(method, method.variant(self.node)) for method in self.node.methods]
        return {method.config.name: parameters for method, parameters in made if parameters is not None}

    def measure(self) -> dict[str, float]:
        """What the methods have to say where the node is evaluated, by name, and what attacks have achieved there."""
        node = self.node
        found = dict[str, float]()
        for method in node.methods:
            found |= returned(node, method, "measure", method.measure(node), Mapping)
        if node.attackers and node.under_attack:
            found |= node.under_attack.measure()
            for adversary in node.attackers.measures:
                found |= {f"attack/{name}": value for name, value in adversary.success(node).items()}
        return found

    def _accepted(self, inbox: Sequence[Message], exchange: int) -> list[Message]:
        """What the node takes in, in order of the sender; where others lie, only what is sound.

        What it refuses, or what an attacker has not sent, the node itself weighs.
        """
        node, messages = self.node, sorted(inbox, key=lambda message: message.sender)
        if node.attackers is None:
            return messages
        sound = [each for each in messages if is_sound(each, self.declared(each.sender, node.id, each.round, exchange))]
        if node.under_attack:
            node.under_attack.refused(len(messages) - len(sound))
        if exchange == self._mixing:
            self.lose(node.weights.keys() - {message.sender for message in sound} - {node.id})
        return sound

    def _mix(self, inbox: Sequence[Message]) -> None:
        node, messages = self.node, self._accepted(inbox, self.exchanges)
        sent = [*self._heard, *messages]
        before_hooks = versions(sent)
        for method in reversed(node.methods):
            messages = [returned(node, method, "incoming", method.incoming(node, each), Message) for each in messages]
        carrying = messages if self._mixing == self.exchanges else self._heard
        mixing = [message for message in carrying if message.sender not in node.apart]
        before = node.parameters.clone() if node.under_attack else None
        mix: Callable[[Node, Sequence[Message]], Any] = node.mixer.mix
        returned(node, node.mixer, "mix", mix(node, mixing), None)
        if node.attackers and node.under_attack and before is not None:
            node.under_attack.mixed(node, before, node.attackers.nodes)
        if node.attacker:
            node.attacker.hear(node, mixing)
        if self._statistics:
            self._statistics.mix(mixing)
        call(node, "after_mixing", reversed(node.methods))
        check_unwritten(node, sent, before_hooks)

    def _carries_models(self, exchange: int) -> bool:
        """Whether the mixer's parts travel in it; those of pairwise averaging are question and answer."""
        return exchange == self._mixing or self._pairwise

    def _message(self, to: int, exchange: int) -> Message:
        node, mixes = self.node, self._carries_models(exchange) and to not in self.node.apart
        parts = dict(returned(node, node.mixer, "outgoing", node.mixer.outgoing(node, to), Mapping)) if mixes else {}
        if mixes and self._statistics:
            parts |= self._statistics.outgoing()
        message = Message(node.id, to, node.round, parts, exchange)
        for method in node.methods:
            hook = "early_outgoing" if exchange < self.exchanges else "outgoing"
            message = returned(node, method, hook, getattr(method, hook)(node, message), Message)
        if wrong := misfit(message.parts, self.declared(node.id, to, node.round, exchange)):
            what = f"the message of node {node.id} to node {to} in round {node.round} {wrong}."
            raise RunError(f"{what}\n    A mixer or method declares all that it sends, in its hook `parts`.")
        check_copied(node, message)
        return message
