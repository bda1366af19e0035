"""The ServerApp: who is there, what is to be done until when; of models and data it never sees anything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from simulator.deployment.members import gather
from simulator.deployment.post import Office
from simulator.deployment.records import Misshapen, whole
from simulator.deployment.router import relay
from simulator.deployment.terms import Terms

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Wait for all nodes, then take them through the run.

    Raises:
        RuntimeError: a node is missing, is of another experiment, or cannot go on.
    """
    terms = Terms.read(context.run_config)
    members = gather(grid, terms)
    office = Office(grid, {node: member.number for node, member in members.items()})
    finished = min(member.rounds for member in members.values())
    if terms.plane == "p2p":
        _phases(office, terms, finished)
    else:
        relay(office, terms, finished)


def _phases(office: Office, terms: Terms, finished: int) -> None:
    """Many rounds a message; a phase that was broken off by its deadline is continued by the next message.

    The deadline is a time of day, the same for all nodes: one that lasted longer would find its neighbours silent.
    """
    while finished < terms.rounds:
        until = min(terms.rounds, finished - finished % terms.phase + terms.phase)
        orders = {"until": until, "ends": time.time() + terms.phase_timeout}
        replies = office.ask("train.gossip", dict.fromkeys(office.nodes, orders), terms.phase_timeout)
        reached = min(_reached(node, reply, terms) for node, reply in replies.items())
        print(f"all nodes have finished {reached} of {terms.rounds} rounds", flush=True)
        if reached <= finished:
            raise RuntimeError(f"no round was finished within {terms.phase_timeout:g} s: raise backend.phase_timeout")
        finished = reached


def _reached(node: int, reply: Mapping[str, Any], terms: Terms) -> int:
    try:
        return whole(reply, "round", 0, terms.rounds)
    except Misshapen as error:
        raise RuntimeError(f"node {node}: its reply {error}") from error
