"""What the ServerApp does: orders of many rounds, and who follows them; nodes may be away, and come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from simulator.deployment import messenger as flower
from simulator.deployment.leaving import tell
from simulator.deployment.members import Members
from simulator.deployment.messenger import RETRY, Messenger
from simulator.deployment.records import Misshapen, whole
from simulator.deployment.run_manifest import RunManifest


class Phases:
    """Takes all nodes through the rounds, many in one message.

    A node that is lost, or hears none of its neighbours, is away: the others go on, where the experiment's parts bear
    it, and it is sent its orders until it follows them. Where parts need every message, all wait for it. Orders last
    for a time that each node measures by itself, from when it reads them; clocks are not compared.

    Attributes:
        finished: how many rounds each node has finished.
        missed: in how many of them it was away.
        away: nodes that are not there now, as far as is known.

    Args:
        members: of the run; those who come later join it.
        messenger: to them.
        manifest: of the run.
    """

    def __init__(self, members: Members, messenger: Messenger, manifest: RunManifest) -> None:
        self._members, self._messenger, self._manifest = members, messenger, manifest
        self.finished: dict[int, int] = {}
        self.missed: dict[int, int] = {}
        self.away = set(range(manifest.nodes)) - members.found.keys()
        self._cut_off: set[int] = set()  # of those, who have their orders and hear no neighbour
        self._told: set[int] = set()  # of whom it has been said that they have left
        self._again: dict[int, float] = {}  # when to send the next orders
        self._moved = time.monotonic()  # when a node that is there has last got on
        self._meet()

    def run(self) -> None:
        """All rounds, then what those who are away have missed, if they come back in time.

        Raises:
            RuntimeError: a node cannot go on, or all wait for what does not come.
        """
        manifest = self._manifest
        reached = self._reached()
        while reached < manifest.rounds:
            until = min(manifest.rounds, reached - reached % manifest.phase + manifest.phase)
            self._pass(until, partial(self._have_reached, until))
            reached = self._reached()
            print(f"{self._who()} finished {reached} of {manifest.rounds} rounds", flush=True)
        self._wait_for_those_away()
        self._say_who_took_part()

    def _pass(self, until: int, done: Callable[[], bool], over: bool = False) -> None:
        """Have the nodes follow orders until ``done``."""
        self._moved = time.monotonic()
        while not done():
            self._meet()
            for node in self._messenger.nodes:
                if self.finished[node] < until and self._again[node] <= time.monotonic():
                    self._order(node, until)
            for answered in self._messenger.answers():
                self._take(*answered)
            if not over:
                self._check()
            self._messenger.pause()

    def _meet(self) -> None:
        """Take in those who have joined."""
        if len(self._members.found) < self._manifest.nodes and self.finished:
            self._members.look()
        for node, member in self._members.found.items():
            if node not in self.finished:
                self._messenger.numbers[node] = member.number
                self.finished[node], self.missed[node], self._again[node] = member.rounds, 0, 0.0

    def _order(self, node: int, until: int) -> None:
        if node in self._messenger.busy:
            return
        away = " ".join(map(str, sorted(self._not_waited_for(node))))
        others = [self.finished[other] for other in self._there if other != node]
        over = min(others, default=0) if self._manifest.goes_on else 0
        orders = {"until": until, "seconds": self._manifest.phase_timeout, "away": away, "over": over}
        if not self._messenger.send(node, "train.gossip", orders, self._manifest.phase_timeout):
            self._lose(node, "its SuperNode is not there")

    def _take(self, node: int, reply: dict[str, Any] | None, reason: str) -> None:
        if reply is None:
            self._lose(node, reason)
            return
        try:
            reached = whole(reply, "round", 0, self._manifest.rounds)
            tell({node: reply}, self._manifest, self._told)
            missed, heard = whole(reply, "away", 0, self._manifest.rounds), whole(reply, "heard", 0, 1)
        except Misshapen as error:
            raise RuntimeError(f"node {node}: its reply {error}") from error
        on = reached > self.finished[node]
        self.finished[node], self.missed[node] = reached, self.missed[node] + missed
        if not heard:
            self._cut_off.add(node)
            self._lose(node, "it does not hear its neighbours")
        elif on or reached == self._manifest.rounds:
            self._find(node)
        else:
            seconds = self._manifest.phase_timeout
            raise RuntimeError(f"node {node}: no round was finished within {seconds:g} s: raise backend.phase_timeout")

    def _find(self, node: int) -> None:
        self._moved, self._again[node] = time.monotonic(), 0.0
        self._cut_off.discard(node)
        if node in self.away:
            self.away.discard(node)
            print(f"node {node} is back, and has finished {self.finished[node]} rounds", flush=True)

    def _lose(self, node: int, reason: str) -> None:
        self._again[node] = time.monotonic() + RETRY
        if node not in self.away:
            self.away.add(node)
            others = "the others go on without it" if self._manifest.goes_on else "all wait for it"
            print(f"node {node} is away: {reason}; {others}", flush=True)

    def _not_waited_for(self, node: int) -> set[int]:
        """Of those away, whom ``node`` is told of.

        Where all wait for all, it is nobody: each waits as long as for any neighbour, so that they come together. So do
        those who are cut off, for whom else all others could be away, as after an outage of what carries messages; one
        who is told that of all its neighbours goes on alone.
        """
        if not self._manifest.goes_on:
            return set()
        return self.away - {node} - (self._cut_off if node in self._cut_off else set())

    @property
    def _there(self) -> list[int]:
        """Those who must have finished a phase before the next one begins."""
        return [node for node in self.finished if not (self._manifest.goes_on and node in self.away)]

    def _reached(self) -> int:
        """How many rounds all who are there have finished; none where nobody is."""
        return min((self.finished[node] for node in self._there), default=-1)

    def _have_reached(self, round: int) -> bool:
        return self._reached() >= round

    def _check(self) -> None:
        """Whether anybody gets on.

        Raises:
            RuntimeError: nobody has for longer than orders last, and their replies take.
        """
        seconds = self._manifest.phase_timeout + flower.GRACE
        if time.monotonic() - self._moved <= seconds:
            return
        late = [node for node in self._there if node in self._messenger.busy]
        if self._manifest.goes_on and late and len(late) < len(self._there):
            self._moved = time.monotonic()
            for node in late:
                self._lose(node, f"no answer for {seconds:.0f} s")
            return
        names = ", ".join(map(str, sorted(set(late) | self.away))) or "all"
        raise RuntimeError(f"nobody has got on for {seconds:.0f} s; what does not come is that of nodes {names}")

    def _who(self) -> str:
        if not self.away:
            return "all nodes have"
        return f"all nodes but {', '.join(map(str, sorted(self.away)))} have"

    def _wait_for_those_away(self) -> None:
        """Give them a while to come back and sit out the rest, so that what they have left behind is whole."""
        last, deadline = self._manifest.rounds, time.monotonic() + self._manifest.join_timeout
        if self.away:
            names, seconds = ", ".join(map(str, sorted(self.away))), self._manifest.join_timeout
            print(f"the run is over; nodes {names} have {seconds:g} s to come back", flush=True)

        def done() -> bool:
            whole = len(self.finished) == self._manifest.nodes and min(self.finished.values()) >= last
            return whole or (time.monotonic() > deadline and not self._messenger.busy)

        self._pass(last, done, over=True)

    def _say_who_took_part(self) -> None:
        for node in range(self._manifest.nodes):
            finished, missed = self.finished.get(node, 0), self.missed.get(node, 0)
            if finished < self._manifest.rounds or missed:
                part = f"{finished - missed} of {self._manifest.rounds} rounds"
                gone = "" if finished == self._manifest.rounds else f"; it was last seen after round {finished}"
                print(f"node {node} took part in {part}{gone}", flush=True)
