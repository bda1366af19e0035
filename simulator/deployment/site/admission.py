"""Whether a site lets a run begin: what is asked is held against the policy before anything is sent.

The order is: the experiment and who is in it, which needs neither data nor model; then what would leave the node
(`of_the_plan`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING

from simulator.core.errors import Problem
from simulator.core.promise import Promise, Unit
from simulator.deployment.run_manifest import RunManifest, own_version
from simulator.deployment.site.history import History, Sender, Spent
from simulator.deployment.site.policy import ANY, UNITS, SitePolicy, among, open_at, within
from simulator.deployment.transport.certificates import name_of

if TYPE_CHECKING:
    from simulator.deployment.site.asked import Asked


def of_the_approval(policy: SitePolicy, experiment: str, manifest: RunManifest, now: datetime) -> Iterator[Problem]:
    """Whether the experiment with this hash may run, and for so long."""
    approval = policy.approval(experiment)
    if approval is None:
        advice = "Read what it would send, then: rumormill site approve FOLDER --by NAME --until DATE."
        yield Problem("experiments", f"nobody has approved the experiment with the hash {experiment}.", advice)
    elif now.date() > approval.until:
        yield Problem("experiments", f"its approval by {approval.approved_by} ended on {approval.until}.")
    elif manifest.rounds > approval.rounds:
        yield Problem("experiments", f"it has {manifest.rounds} rounds, and {approval.rounds} are approved.")


def of_the_run(history: History, sender: Sender, experiment: str, finished: int) -> Iterator[Problem]:
    """Whether the ledger knows the run of ``sender`` as one of this experiment, of which so many rounds are finished.

    Noise is drawn for a run by its name: two experiments under one name would draw the same, and count as one.
    """
    known = history.experiments(sender)
    if others := known - {experiment}:
        what = f"a run of this name was one of the experiment with the hash {min(others)}, whose noise it would share."
        yield Problem("experiments", what, "Let the organiser make the deployment anew, which gives it another name.")
    if finished and not known:
        what = f"{finished} rounds of this run are on the node's disk, and the ledger does not know it."
        yield Problem("ledger", what, "Put the ledger back in which they stand; an older one, or a new one, is none.")


def of_the_version(policy: SitePolicy) -> Iterator[Problem]:
    """Whether this version of the package may run."""
    if not among(policy.versions, own_version()):
        yield Problem("versions", f"rumormill {own_version()} may not run here.")


def of_the_peers(policy: SitePolicy, keys: Mapping[int, str]) -> Iterator[Problem]:
    """Who of the neighbours, with these public keys as hexadecimal numbers, may not receive anything."""
    pinned = policy.peers.pinned
    for node, key in sorted(keys.items()):
        name, digest = name_of(node), hashlib.sha256(bytes.fromhex(key)).hexdigest()
        if not among(policy.peers.allow, name):
            yield Problem("peers.allow", f"{name} is a neighbour of this node, and may receive nothing.")
        elif pinned != "any" and digest not in pinned.get(name, ()):
            yield Problem("peers.pinned", f"the sealing key of {name} is another than those pinned: {digest}.")


def of_the_co_senders(policy: SitePolicy, keys: Mapping[int, bytes]) -> Iterator[Problem]:
    """With which nodes, of these public keys, the node may not mask what it sends."""
    pinned = policy.peers.pinned
    for node, key in sorted(keys.items()):
        name, digest = name_of(node), hashlib.sha256(key).hexdigest()
        if pinned != "any" and digest not in pinned.get(name, ()):
            what = f"the sealing key of {name}, from which masks of messages follow, is another than those pinned"
            yield Problem("peers.pinned", f"{what}: {digest}.")


def of_the_time(
    policy: SitePolicy, history: History, sender: Sender, now: datetime, round: int | None = None
) -> Iterator[Problem]:
    """Whether messages of ``round`` may leave now, or those of any other round than those that have left."""
    yield from of_the_hours(policy, now)
    if policy.limits.rounds_per_day != "unlimited":
        done = history.rounds_of_a_day(now)
        if (sender, round) not in done and len(done) + 1 > policy.limits.rounds_per_day:
            yield Problem("limits.rounds_per_day", f"{len(done)} rounds have left in the last 24 hours.")


def of_the_hours(policy: SitePolicy, now: datetime) -> Iterator[Problem]:
    """Whether anything may leave now."""
    if not open_at(policy.limits.hours, now):
        yield Problem("limits.hours", f"nothing leaves at {now:%H:%M}.", f"Allowed are: {policy.limits.hours}.")


def of_the_terms(asked: Asked, manifest: RunManifest) -> Iterator[Problem]:
    """Whether the run is as long as the experiment that was approved."""
    if (manifest.rounds, manifest.exchanges) != (asked.rounds, asked.exchanges):
        what = f"the run has {manifest.rounds} rounds of {manifest.exchanges} exchanges"
        yield Problem("experiments", f"{what}, and the experiment {asked.rounds} of {asked.exchanges}.")


def of_the_plan(policy: SitePolicy, asked: Asked, history: History, sender: Sender, now: datetime) -> Iterator[Problem]:
    """What of all that would leave the node the policy does not allow."""
    yield from _of_the_messages(policy, asked)
    yield from _of_what_else_leaves(policy, asked)
    yield from of_the_mechanism(policy, asked)
    yield from of_the_statistics(policy, asked)
    yield from _of_the_budget(policy, asked, history, sender, now)


def _of_the_messages(policy: SitePolicy, asked: Asked) -> Iterator[Problem]:
    for part in sorted(asked.parts):
        if not among(policy.messages.parts, part):
            yield Problem("messages.parts", f"messages would hold the part {part!r}.")
    if not within(policy.messages.max_bytes, asked.largest):
        yield Problem("messages.max_bytes", f"a message would have {asked.largest:,} bytes.")
    if policy.messages.max_norm != "unlimited" and asked.receivers and not asked.bounded:
        yield Problem("messages.max_norm", "what is sent shows no model after local training, so nothing bounds it.")


def _of_what_else_leaves(policy: SitePolicy, asked: Asked) -> Iterator[Problem]:
    if asked.labels and not policy.sharing.labels:
        yield Problem("sharing.labels", f"{asked.labels[0]} sends labels of public samples.")
    if not asked.collects:
        return
    if asked.recordings and not policy.sharing.recordings:
        yield Problem("sharing.recordings", "rounds are recorded, and recordings collected.")
    if not policy.sharing.models:
        yield Problem("sharing.models", "models are collected.", "Ask for an experiment with backend.collect: nothing.")


def of_the_mechanism(policy: SitePolicy, asked: Asked) -> Iterator[Problem]:
    """Whether what is sent is protected as it has to be: by a method that the policy names, or that promises more."""
    wanted, unit, promise = policy.privacy.mechanism, policy.privacy.unit, asked.promise
    if wanted == "none":
        return
    named = wanted in (ANY, asked.mechanism)
    if promise is None or not (named or (wanted is not None and _promises_more(asked.mechanism, promise, unit))):
        who, has = wanted or "more than there is", "none" if promise is None else f"only {asked.mechanism}"
        yield Problem("privacy.mechanism", f"{who} has to protect what is sent, and the experiment has {has}.")
    elif UNITS.index(promise.unit) < UNITS.index(unit):
        yield Problem("privacy.unit", f"{asked.mechanism} protects one {promise.unit}, and it has to be a {unit}.")


def _promises_more(mechanism: str, promise: Promise, unit: Unit) -> bool:
    """Whether it protects a larger unit, and is installed here: code that comes with an experiment may claim much."""
    return ":" not in mechanism and UNITS.index(promise.unit) > UNITS.index(unit)


def of_the_statistics(policy: SitePolicy, asked: Asked) -> Iterator[Problem]:
    """Whether what is told before round 1 is protected, where what is sent has to be."""
    wanted, told = policy.privacy.mechanism, asked.statistics
    if wanted == "none" or told is None:
        return
    if told.noise_multiplier is None or told.unit is None:
        what = f"{wanted or 'more than there is'} has to protect what is sent, and statistics would have no noise."
        yield Problem("privacy.mechanism", what)
    elif UNITS.index(told.unit) < UNITS.index(policy.privacy.unit):
        what = f"the noise of statistics protects one {told.unit}, and it has to be a {policy.privacy.unit}."
        yield Problem("privacy.unit", what)


def _of_the_budget(
    policy: SitePolicy, asked: Asked, history: History, sender: Sender, now: datetime
) -> Iterator[Problem]:
    """The whole run's epsilon, and what has been spent before, must be within what is allowed."""
    yield from of_the_cost(
        policy, asked.promise, asked.rounds, history.spent_by_others(sender, policy.privacy.over, now)
    )


def of_the_cost(policy: SitePolicy, promise: Promise | None, rounds: int, before: Spent) -> Iterator[Problem]:
    """Whether so many rounds under a ``promise`` are within what is allowed, after what was spent ``before``."""
    privacy, cost = policy.privacy, inf if promise is None else promise.cost(rounds)
    if privacy.max_epsilon != "unlimited" and not cost + before.epsilon <= privacy.max_epsilon:
        spent = f", after {before.epsilon:.4g} before" if before.epsilon else ""
        what = f"{rounds} rounds cost an epsilon of {cost:.4g}{spent}, and {privacy.max_epsilon:g} is allowed."
        yield Problem("privacy.max_epsilon", what)
    delta = (promise.delta if promise else 0.0) + before.delta
    if not within(privacy.delta, delta):
        yield Problem("privacy.delta", f"its promise has a delta of {delta:.3g}, and {privacy.delta:g} is allowed.")
