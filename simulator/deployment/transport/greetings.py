"""How nodes tell each other their keys of a run through a mailbox, which cannot read them either."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

import grpc
from pydantic import ValidationError

from simulator.core.errors import RunError
from simulator.deployment.transport.box import until
from simulator.deployment.transport.inspection import Refused
from simulator.deployment.transport.line import PASSING, QUOTED, Line
from simulator.deployment.transport.parcel import Answered, Hello
from simulator.deployment.transport.run_keys import RunSeals

AGAIN = 0.05  # seconds until a broken connection is tried again
ASK = 10.0  # seconds that one question is left open
GLANCE = 0.4  # seconds for an answer that is hardly waited for


class Greetings:
    """Tells a node's neighbours its key of the run, and hears theirs.

    Args:
        node: whose.
        run: it takes part in.
        line: to the mailbox.
        seals: of the node.
        greetings: what it tells each neighbour, let go by its site.
    """

    def __init__(self, node: int, run: str, line: Line, seals: RunSeals, greetings: Mapping[int, bytes]) -> None:
        self._node, self._run, self._line, self._seals = node, run, line, seals
        self._told = [(other, text.hex()) for other, text in greetings.items()]
        self._asking: Any = None

    def wait(self, others: Collection[int], deadline: float) -> None:
        """Tell all, and wait for ``others``, at most until the deadline on the monotonic clock.

        Raises:
            RunError: the mailbox does not take what the node tells.
        """
        while True:
            missing = [other for other in others if not self._seals.knows(other)]
            try:
                self._hear(self._ask(missing, max(GLANCE, min(ASK, until(deadline)))).result())
            except grpc.RpcError as error:
                if error.code() not in PASSING:
                    said = repr(str(error.details())[:QUOTED])
                    raise RunError(f"{self._line} does not take what node {self._node} sends: {said}.") from error
                time.sleep(AGAIN)
            if until(deadline) <= 0 or all(map(self._seals.knows, others)):
                return

    def tell(self) -> None:
        """Tell all again, where the mailbox has forgotten.

        Raises:
            grpc.RpcError: it does not answer.
        """
        self._hear(self._ask([], ASK).result())

    def known(self, other: int) -> bool:
        """Whether something can be sealed for ``other``; one that is not is asked for in the background."""
        if self._seals.knows(other):
            return True
        if self._asking is not None and self._asking.done():
            asking, self._asking = self._asking, None
            self._learn(asking)
        if self._asking is None:
            self._asking = self._ask([other], ASK)
        return self._seals.knows(other)

    def changed(self, other: int) -> bool:
        """Whether ``other`` has another key by now, as one that has lost its disk has."""
        return self._learn(self._ask([other], GLANCE), other)

    def _ask(self, wanted: Collection[int], seconds: float) -> Any:
        hello = Hello(run=self._run, sender=self._node, greetings=self._told, wanted=list(wanted))
        return self._line.greet.future(hello.model_dump_json().encode(), timeout=seconds, wait_for_ready=True)

    def _learn(self, call: Any, other: int | None = None) -> bool:
        try:
            return other in self._hear(call.result())
        except (grpc.RpcError, grpc.FutureCancelledError):
            return False

    def _hear(self, answer: bytes) -> set[int]:
        """Whose keys are others than before."""
        try:
            found = Answered.model_validate_json(answer).greetings
        except ValidationError:
            print(f"{self._line} answers what is no greeting", flush=True)
            return set()
        changed = set()
        for other, text in found:
            try:
                if self._seals.hear(other, bytes.fromhex(text)):
                    changed.add(other)
            except (Refused, ValueError, KeyError) as error:
                print(f"{error}", flush=True)
        return changed
