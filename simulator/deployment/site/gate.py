"""The one gate of a site: whatever leaves a node passes it, and stands in the ledger before it does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.core.errors import Problem, wrong
from simulator.deployment.node_folder import NodeFolder, finished_rounds
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.site.admission import (
    of_the_approval,
    of_the_co_senders,
    of_the_cost,
    of_the_hours,
    of_the_peers,
    of_the_plan,
    of_the_run,
    of_the_statistics,
    of_the_terms,
    of_the_time,
    of_the_version,
)
from simulator.deployment.site.approval import experiment_hash
from simulator.deployment.site.declined import Declined
from simulator.deployment.site.history import BEGIN, STATISTICS, History, Sender
from simulator.deployment.site.ledger import Ledger
from simulator.deployment.site.policy import SitePolicy
from simulator.deployment.site.policy_file import read_policy
from simulator.deployment.transport.certificates import name_of

if TYPE_CHECKING:
    from torch import Tensor

    from simulator.core.backend import Reply
    from simulator.core.message import Message
    from simulator.core.promise import Promise
    from simulator.deployment.carried import CarriedNode
    from simulator.deployment.site.asked import Asked
    from simulator.deployment.site.laid_out import LaidOut
    from simulator.deployment.transport.saved_rounds import Step

Seal = Callable[["Message"], bytes]
Objections = Callable[["Message", str], Iterator[Problem]]
DECLINED = "declined"  # what the ledger calls a refusal


@dataclass(frozen=True)
class Leaving:
    """One thing that is about to leave.

    Attributes:
        kind: "message", "statistics" (before round 1), "key" (of the run, to a neighbour), "report" and "versions"
            (laid out for collecting), "reply" or "error" (to the ServerApp).
        names: of what it holds.
        payload: its bytes.
        facts: what else the ledger keeps of it.
    """

    kind: str
    names: Sequence[str]
    payload: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)


class Gate:
    """Holds what a node of a run would send against its site's policy, and writes down what leaves.

    Args:
        path: of the policy.
        folder: the node's.
        manifest: of the run.
        now: tells the time, with its zone.

    Raises:
        InputError: there is no policy, or the ledger is broken.
        Declined: the policy does not allow the run.
    """

    def __init__(
        self, path: Path, folder: NodeFolder, manifest: RunManifest, now: Callable[[], datetime] | None = None
    ) -> None:
        self._path, self._stamp, self.policy = path, _stamp(path), read_policy(path, folder.folder)
        self._folder, self._manifest, self._now = folder, manifest, now or _now
        self._ledger = Ledger(Path(self.policy.ledger))
        self._history, self._sender = History(self._ledger.lines), Sender(manifest.run, folder.node)
        self._node: CarriedNode | None = None
        self._promise: Promise | None = None
        self._laid_out: LaidOut | None = None
        self._asked: Asked | None = None
        self._start: Tensor | None = None
        self._experiment = experiment_hash(folder.folder)
        self._decline(of_the_approval(self.policy, self._experiment, manifest, self._now()))
        finished = finished_rounds(folder.state(manifest.run))
        self._decline(of_the_run(self._history, self._sender, self._experiment, finished))
        self._decline(of_the_version(self.policy))
        self._decline_peers(self.policy)
        self._decline(of_the_time(self.policy, self._history, self._sender, self._now()))

    @property
    def pins(self) -> dict[int, list[str]] | None:
        """By neighbour, the digests of the keys that it may have; None: any."""
        pinned = self.policy.peers.pinned
        return None if pinned == "any" else {node: pinned.get(name_of(node), []) for node in self._folder.neighbours}

    def admit(self, node: CarriedNode) -> None:
        """Hold all that the node would send in the whole run against the policy.

        Raises:
            Declined: it does not allow that; nothing has left.
        """
        from simulator.deployment.site.laid_out import LaidOut

        asked, now = node.asked, self._now()
        self._decline(of_the_terms(asked, self._manifest))
        self._decline(of_the_plan(self.policy, asked, self._history, self._sender, now))
        self._node, self._promise, self._asked = node, asked.promise, asked
        self._laid_out = LaidOut(self.policy, node.counts, asked.collects)
        planned = {"experiment": self._experiment, "rounds": asked.rounds, "mechanism": asked.mechanism}
        planned |= {"planned": _finite(asked.epsilon)}
        if not planned.items() <= (self._history.begun(self._sender) or {}).items():
            self._write([{"what": BEGIN, **planned}])

    def begin(self, parameters: Tensor) -> None:
        """A round begins with these ``parameters``, from which a bound on its change is counted."""
        if self.policy.messages.max_norm != "unlimited":
            self._start = parameters.clone()

    def messages(self, messages: Iterable[Message], seal: Seal | None = None) -> dict[int, bytes]:
        """The bytes of a round's messages, by receiver: encoded, and sealed where that is how they travel.

        Raises:
            Declined: one of them may not leave; then none does.
        """
        return self._let_go("message", messages, seal, self._objections, {})

    def statistics(self, messages: Iterable[Message], seal: Seal | None = None) -> dict[int, bytes]:
        """The bytes of the messages by which nodes agree on statistics before round 1, as `messages` gives them.

        Raises:
            Declined: one of them may not leave; then none does.
        """
        return self._let_go(STATISTICS, messages, seal, self._objections_to_statistics, self._cost_of_statistics())

    def _let_go(
        self, kind: str, messages: Iterable[Message], seal: Seal | None, objections: Objections, cost: Mapping[str, Any]
    ) -> dict[int, bytes]:
        leaving, data = [], {}
        with self._ledger.alone():
            self._follow()
            for message in messages:
                content = message.encode()
                data[message.receiver] = seal(message) if seal else content
                facts = {**self._facts_of(message, content), **cost}
                self._decline(objections(message, str(facts["again"])))
                leaving.append(Leaving(kind, list(message.parts), data[message.receiver], facts))
            if leaving:
                self.release(*leaving)
        return data

    def lay_out_statistics(self, text: str) -> None:
        """Lay out what all nodes have agreed on for collecting, where anything is collected."""
        from simulator.core import atomic
        from simulator.core.report import STATISTICS as FILE

        assert self._asked is not None  # the run has been admitted
        if self._asked.collects:
            self.release(Leaving("report", ["statistics"], text.encode(), {"round": 0, "step": "statistics"}))
            folder = self._folder.laid_out(self._manifest.run)
            folder.mkdir(parents=True, exist_ok=True)
            atomic.write(folder / FILE, text)

    def greetings(self, greetings: Mapping[int, bytes]) -> Mapping[int, bytes]:
        """What is about to be told neighbours of the node's key of the run, by receiver."""
        self.release(*(Leaving("key", [], text, {"to": name_of(to)}) for to, text in greetings.items()))
        return greetings

    def report(self, round: int, step: Step, reply: Reply) -> bytes:
        """What of ``reply`` to a step of ``round`` may be laid out for collecting, encoded.

        Raises:
            Declined: it holds what may not leave and cannot be left out.
        """
        from simulator.deployment.transport.wire import encode

        self._follow()
        assert self._laid_out is not None  # the run has been admitted
        self._decline(self._laid_out.problems(reply))
        reduced = self._laid_out.reduced(reply)
        data, names = encode(reduced), sorted(_contents(reduced))
        if names:  # else it is the sizes of messages, which the ledger has already
            self.release(Leaving("report", names, data, {"round": round, "step": step, **self._cost(round)}))
        return data

    def versions(self, text: str) -> bytes:
        """What may be laid out for collecting of the versions on this host, which the ServerApp is told, too."""
        self.release(Leaving("versions", [], text.encode(), {"text": text}))
        return text.encode()

    def reply(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is about to go to the ServerApp."""
        self.release(Leaving("reply", sorted(content), json.dumps(dict(content)).encode()))
        return content

    def error(self, text: str) -> str:
        """What is about to be told the ServerApp of an error."""
        self.release(Leaving("error", [], text.encode(), {"text": text}))
        return text

    def release(self, *things: Leaving) -> None:
        """Let ``things`` leave: when this returns, they stand in the ledger, on the disk."""
        self._write(
            {
                "what": thing.kind,
                "names": list(thing.names),
                "bytes": len(thing.payload),
                "sha256": hashlib.sha256(thing.payload).hexdigest(),
                **thing.facts,
            }
            for thing in things
        )

    def _follow(self) -> None:
        """Take over the policy as it is by now.

        Raises:
            InputError: it is none any more, or names another ledger.
            Declined: it does not allow the run any more.
        """
        if (stamp := _stamp(self._path)) == self._stamp:
            return
        policy = read_policy(self._path, self._folder.folder)
        if Path(policy.ledger) != self._ledger.path:
            what = "names another ledger than when this run went on."
            raise wrong(f"{self._path}: ledger", what, "Change that between two runs.")
        assert self._asked is not None  # the run has been admitted
        assert self._laid_out is not None
        self.policy, self._stamp, self._laid_out = policy, stamp, replace(self._laid_out, policy=policy)
        self._decline(of_the_approval(policy, self._experiment, self._manifest, self._now()))
        self._decline(of_the_version(policy))
        self._decline_peers(policy)
        self._decline(of_the_plan(policy, self._asked, self._history, self._sender, self._now()))

    def _objections(self, message: Message, again: str) -> Iterator[Problem]:
        from simulator.deployment.site.message_check import check

        assert self._node is not None  # the run has been admitted
        now = self._now()
        before = self._history.spent_by_others(self._sender, self.policy.privacy.over, now)
        yield from of_the_approval(self.policy, self._experiment, self._manifest, now)
        yield from of_the_cost(self.policy, self._promise, message.round, before)
        yield from of_the_time(self.policy, self._history, self._sender, now, message.round)
        if message.receiver not in self._folder.neighbours or message.round > self._manifest.rounds:
            yield Problem("peers.allow", f"node {message.receiver} is to receive nothing in round {message.round}.")
        else:
            yield from check(self.policy, self._node, message, self._start, again)

    def _objections_to_statistics(self, message: Message, again: str) -> Iterator[Problem]:
        from simulator.deployment.site.message_check import check_statistics

        assert self._asked is not None  # the run has been admitted
        now, told = self._now(), self._asked.statistics
        before = self._history.spent_by_others(self._sender, self.policy.privacy.over, now)
        yield from of_the_approval(self.policy, self._experiment, self._manifest, now)
        yield from of_the_cost(self.policy, self._promise, 0, before)
        yield from of_the_hours(self.policy, now)
        yield from of_the_statistics(self.policy, self._asked)
        yield from check_statistics(self.policy, told, message, again)

    def _cost_of_statistics(self) -> dict[str, float | None]:
        """What their noise promises, by itself or as the beginning of the whole run's account."""
        told = self._asked and self._asked.statistics
        return {"epsilon": _finite(told.epsilon), "delta": told.delta} if told else {}

    def _facts_of(self, message: Message, content: bytes) -> dict[str, Any]:
        """Of a message, what the ledger keeps; ``again`` says whether it has said the same, or other things, before."""
        to, digest = f"node-{message.receiver}", hashlib.sha256(content).hexdigest()
        before = self._history.sent(self._sender, message.round, message.exchange, to)
        again = "" if before is None else "same" if before == digest else "other"
        where = {"to": to, "round": message.round, "exchange": message.exchange}
        return {**where, "content": digest, "again": again, **self._cost(message.round)}

    def _cost(self, rounds: int) -> dict[str, float | None]:
        """What the node has spent once it has sent the messages of so many rounds."""
        if self._promise is None:
            return {"epsilon": None, "delta": None}
        return {"epsilon": _finite(self._promise.cost(rounds)), "delta": self._promise.delta}

    def _decline_peers(self, policy: SitePolicy) -> None:
        folder = self._folder
        self._decline(of_the_peers(policy, folder.keys))
        self._decline(of_the_co_senders(policy, {node: folder.known_keys[node] for node in folder.co_senders}))

    def _decline(self, problems: Iterator[Problem]) -> None:
        if found := list(problems):
            declined = Declined(self._folder.node, found)
            self._write([{"what": DECLINED, "settings": declined.settings, "why": str(declined)}])
            raise declined

    def _write(self, entries: Iterable[Mapping[str, Any]]) -> None:
        run = {"run": self._sender.run, "node": self._sender.node}
        self._ledger.append([{"what": entry["what"], **run, **entry} for entry in entries])


def _contents(reply: Reply) -> Iterator[str]:
    """What a reply holds beside the number of steps and the sizes of messages."""
    yield from {metric.name for metric in reply.metrics}
    yield from {f"artifacts/{name}" for name, _ in reply.artifacts}
    yield from {f"recordings/{name.split('/')[0]}" for each in reply.recordings for name in each.tensors}
    if reply.evaluation:
        yield from ("measured", "model")
    if reply.state:
        yield "state"


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Another one whenever the file is another, or was written; None where there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size, about.st_mode


def _finite(epsilon: float) -> float | None:
    return epsilon if epsilon < float("inf") else None


def _now() -> datetime:
    return datetime.now().astimezone()
