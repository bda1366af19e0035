"""The mailbox of the plane relay as a process: ``python -m simulator.deployment.mailbox_process FOLDER``.

`rumormill-host` and `rumormill deploy local` keep it going. Light to import, and all it has is in memory.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from simulator.core.errors import RumormillError, wrong
from simulator.core.plain_yaml import read_yaml
from simulator.deployment.run_manifest import links_of
from simulator.deployment.transport.certificates import MAILBOX, Identity
from simulator.deployment.transport.mailbox import Mailbox
from simulator.deployment.transport.positions import Positions

FILE = "mailbox.yaml"  # in the SuperLink's folder


@dataclass(frozen=True)
class MailboxSettings:
    """What ``mailbox.yaml`` says.

    Attributes:
        listen: where the mailbox listens, as "host:port".
        public: where nodes reach it.
        edges: who sends to whom, as "0>1 1>0".
        exchanges: of messages in a round.
        largest: bytes of the longest sealed message.
    """

    listen: str
    public: str
    edges: str
    exchanges: int
    largest: int

    @classmethod
    def read(cls, folder: Path) -> Self:
        """From the SuperLink's ``folder``.

        Raises:
            InputError: it is not there, or is another thing.
        """
        try:
            return cls(**read_yaml((folder / FILE).read_text(encoding="utf-8"), FILE).content)
        except (OSError, TypeError, ValueError) as error:
            what = f"does not say what a mailbox needs: {error}."
            raise wrong(str(folder / FILE), what, "Take it as `rumormill deploy init` wrote it.") from error

    def opened(self, folder: Path) -> Mailbox:
        """The mailbox, with the certificate in ``folder``.

        Raises:
            InputError: the certificate cannot be used, or the address is in use.
        """
        identity = Identity.read(folder, MAILBOX)
        identity.check(MAILBOX)
        return Mailbox(identity, self.listen, links_of(self.edges), self.largest, Positions(self.exchanges))


def main() -> None:
    """Serve until a signal ends it."""
    folder, ended = Path(sys.argv[1]), {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ended)  # before there are threads, which inherit it
    try:
        mailbox = MailboxSettings.read(folder).opened(folder)
    except RumormillError as error:
        sys.exit(f"{error}")
    signal.sigwait(ended)
    mailbox.close()


if __name__ == "__main__":
    main()
