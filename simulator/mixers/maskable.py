"""What keeps masks from hiding single messages, or from cancelling, as far as a plan tells."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.core.errors import Problem
from simulator.core.method import METHODS, Method, traits_of
from simulator.core.plan import Plan

READS, SENDS = ("incoming", "early_incoming"), ("outgoing", "early_outgoing")


def unmaskable(plan: Plan) -> Iterator[Problem]:
    """All that keeps masks from hiding or from cancelling, with what to do about each."""
    yield from _of_failures(plan)
    yield from _single_senders(plan)
    if plan.apart:
        what = "some neighbours exchange no parameters, and masks are drawn by all who are linked."
        yield Problem("", what, "Leave out what keeps them apart, or set mixer: gossip.")
    for settings in plan.methods:
        method = METHODS.load(settings.name)
        if any(_overrides(method, hook) for hook in (*SENDS, *READS)):
            what = f"{settings.name} sends parts of its own or reads those of single neighbours, which no mask covers."
            yield Problem("", what, f"Run without {settings.name}, or set mixer: gossip.")
        elif traits_of(settings).may_stop:
            what = f"{settings.name} may let a node leave, of which those who share a receiver with it do not know."
            yield Problem("", what, "Leave out what ends its part, such as max_epsilon, or set mixer: gossip.")


def _of_failures(plan: Plan) -> Iterator[Problem]:
    failures = plan.network.failures
    for name in ("links", "nodes"):
        if getattr(failures, name):
            what = f"with topology.failures.{name} nobody knows beforehand whose messages will be missing, and the "
            what += "masks of those stay in the sum."
            advice = "Leave it out, name who is away when in topology.failures.absences, or set mixer: gossip."
            yield Problem("", what, advice)


def _single_senders(plan: Plan) -> Iterator[Problem]:
    """The first round in which a receiver has one, if there is such a round."""
    for round in range(plan.rounds if plan.varies else 1):
        links = plan.network.at(round)
        for node in range(links.num_nodes):
            if len(senders := links.in_neighbours(node)) == 1:
                when = f" in round {round + 1}" if plan.varies else ""
                what = f"node {node} hears node {senders[0]} alone{when}, and the sum of one message is that message."
                advice = "Choose a graph where every node hears two or more, such as a ring, or set mixer: gossip."
                yield Problem("", what, advice)
                return


def _overrides(method: type[Method], hook: str) -> bool:
    return getattr(method, hook) is not getattr(Method, hook)
