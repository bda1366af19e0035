"""When labels are exchanged: an exchange takes as many consecutive rounds as its labels travel hops."""

from __future__ import annotations

from collections.abc import Iterator

from methods.idkd.settings import IDKDSettings
from simulator.core.errors import Problem
from simulator.core.plan import Plan


def hop(settings: IDKDSettings, round: int) -> int | None:
    """Which round of an exchange ``round`` is, from 0 to ``settings.hops`` - 1; None between exchanges."""
    since = round - settings.first_round
    if since >= 0 and settings.every is not None:
        since %= settings.every
    return since if 0 <= since < settings.hops else None


def problems(settings: IDKDSettings, plan: Plan) -> Iterator[Problem]:
    """Exchanges must begin within the run, end within it, and not overlap."""
    start, every, hops = settings.first_round, settings.every, settings.hops
    if start > plan.rounds:
        yield Problem(
            "first_round",
            f"the first exchange would be in round {start}, and the run has {plan.rounds}.",
            f"Choose a first_round of at most {plan.rounds}, or more rounds.",
        )
        return
    if every is not None and hops > every:
        yield Problem(
            "hops",
            f"an exchange takes {hops} rounds, one a hop, and the next begins after {every}.",
            f"Choose at most {every} hops, or set every to {hops} or more.",
        )
        return
    last = range(start, plan.rounds + 1, every or plan.rounds)[-1]
    if last + hops - 1 > plan.rounds:
        yield Problem(
            "hops",
            f"the exchange that begins in round {last} takes {hops} rounds, and the run has {plan.rounds}.",
            f"Choose {last + hops - 1} rounds, fewer hops, or another first_round or every.",
        )
