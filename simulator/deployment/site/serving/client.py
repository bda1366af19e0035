"""The thin form of the ClientApp: hands an order to the site's own process, and brings back what that answers."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from simulator.core.errors import RunError
from simulator.deployment.frames import receive, send
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.orders import Content, Given, Within
from simulator.deployment.records import Misshapen
from simulator.deployment.site.untold import Untold

CONTENT, UNTOLD = "content", "untold"  # in an answer: what to reply, or that there was an error
WORD, CONFIG, GIVEN = "word", "config", "given"  # in an order


def handed_over(folder: NodeFolder, config: Mapping[str, object], word: str, given: Given, within: Within) -> Content:
    """What the site's own process lets be told.

    Args:
        folder: of the SuperNode, which says where that is.
        config: of Flower's run.
        word: the order.
        given: what comes with it.
        within: waits for the answer, and may end that: the process is hung up on then, and breaks off.

    Raises:
        Untold: the order could not be carried out.
        RunError: nobody answers.
    """
    try:
        content = dict(given())
    except Misshapen:
        content = {}
    order = {WORD: word, CONFIG: dict(config), GIVEN: content}
    answer = within(lambda: _asked(folder.socket, order))
    if UNTOLD in answer:
        raise Untold(str(answer[UNTOLD]))
    return dict(answer[CONTENT])


def _asked(path: str, order: Content) -> Content:
    with socket.socket(socket.AF_UNIX) as to:
        try:
            to.connect(path)
        except OSError as error:
            what = f"the site's own process does not answer at {path}: {error.strerror}."
            raise RunError(f"{what}\n    Is `rumormill site serve` running, and for this user?") from error
        send(to, order)
        return receive(to, 0).head
