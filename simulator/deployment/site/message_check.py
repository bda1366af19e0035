"""A message that is about to leave, held against the policy and against the plan that was admitted."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from simulator.core.declaration import misfit
from simulator.core.errors import Problem
from simulator.core.message import MASKED, Message
from simulator.data.sites.sums import PART
from simulator.deployment.carried import CarriedNode
from simulator.deployment.site.asked import AskedStatistics
from simulator.deployment.site.policy import SitePolicy, among, within


def check(
    policy: SitePolicy, node: CarriedNode, message: Message, start: Tensor | None, again: str
) -> Iterator[Problem]:
    """What of ``message`` may not leave.

    Args:
        policy: of the site.
        node: whose it is.
        message: as it would leave.
        start: float [parameters], the node's when the round began; None where nothing bounds its change.
        again: "other" where the node has said something else of this exchange before.
    """
    for part in message.parts:
        if not among(policy.messages.parts, part):
            yield Problem("messages.parts", f"round {message.round} would send the part {part!r}.")
    size = sum(tensor.nbytes for tensor in message.parts.values())
    if not within(policy.messages.max_bytes, size):
        yield Problem("messages.max_bytes", f"the message of round {message.round} has {size:,} bytes.")
    declared = node.declared(message.sender, message.receiver, message.round, message.exchange)
    if wrong := misfit(message.parts, declared):
        yield Problem("messages.parts", f"the message of round {message.round} is not what was planned: it {wrong}.")
    elif start is not None:
        yield from _too_far(policy, node, message, start)
    if again == "other" and (policy.privacy.mechanism != "none" or MASKED in message.parts):
        what = f"another message of round {message.round} has left, and both together tell more than is counted."
        yield Problem("privacy", what, "An old state was put back: begin a new run.")


def check_statistics(
    policy: SitePolicy, told: AskedStatistics | None, message: Message, again: str
) -> Iterator[Problem]:
    """What of a ``message`` before round 1 may not leave.

    Args:
        policy: of the site.
        told: what was planned.
        message: as it would leave.
        again: "other" where the node has told something else before.
    """
    size = sum(tensor.nbytes for tensor in message.parts.values())
    if told is None or message.receiver not in (told.parent, *told.children):
        yield Problem("messages.parts", f"statistics for node {message.receiver} were not planned.")
    elif wrong := misfit(message.parts, told.declared):
        yield Problem("messages.parts", f"the statistics are not what was planned: the message {wrong}.")
    elif not among(policy.messages.parts, PART):
        yield Problem("messages.parts", f"the part {PART!r} would be sent before round 1.")
    if not within(policy.messages.max_bytes, size):
        yield Problem("messages.max_bytes", f"the message of statistics has {size:,} bytes.")
    if again == "other":
        what = "other statistics have left before, and both together tell more than is counted."
        yield Problem("privacy", what, "The data have changed since, or an old state was put back: begin a new run.")


def _too_far(policy: SitePolicy, node: CarriedNode, message: Message, start: Tensor) -> Iterator[Problem]:
    """Where the model that the message shows is further from the round's beginning than is allowed."""
    shown = node.shown(message)
    if shown is None:
        yield Problem("messages.max_norm", "the message shows no model, so nothing bounds what it tells.")
    elif not within(policy.messages.max_norm, norm := float((shown - start).norm())):
        yield Problem("messages.max_norm", f"round {message.round} changes the model by {norm:.4g}.")
