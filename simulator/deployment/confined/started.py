"""Starting the confined process: as whom, and over which socket it is spoken to."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from simulator.core.errors import wrong
from simulator.deployment.confined.folder import ConfinedFolder
from simulator.deployment.keys.private import FILES
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.printable import printable
from simulator.deployment.site.approval import CODE, approved
from simulator.deployment.site.policy_file import read_policy

LAUNCHER = "simulator.deployment.confined.launcher"
ANSWER = 3 * 3600.0  # seconds for one step
SECONDS = 10.0  # for a process to end that is told to
SCRATCH = "scratch"
LINE = 2**12  # bytes of what it prints that are shown at once
ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "JOBLIB_MULTIPROCESSING": "0"}


@dataclass(frozen=True)
class Account:
    """Whom the confined process runs as.

    Attributes:
        user: the number; None: whoever starts it, whose files it then can read.
        group: likewise.
        groups: of which it is a member.
        home: where ``~`` leads, in paths of data sets.
    """

    user: int | None
    group: int | None
    groups: tuple[int, ...]
    home: str

    @classmethod
    def named(cls, name: str) -> Self:
        """The account ``name`` of this host, which is not root's and not one's own.

        Raises:
            InputError: there is none, or this process is not root's, so that it cannot be another user.
        """
        try:
            found = pwd.getpwnam(name)
        except KeyError as error:
            advice = f"Make one without a login: useradd --system --shell /usr/sbin/nologin {name}"
            raise wrong("--as-user", f"this host has no account '{name}'.", advice) from error
        if os.geteuid() != 0:
            what = "only root can start a process as another user."
            raise wrong("--as-user", what, "Start it as root; or take --same-user, which keeps less apart.")
        if found.pw_uid == 0:
            raise wrong("--as-user", f"'{name}' is root, who can read everything.", "Name an account without rights.")
        return cls(found.pw_uid, found.pw_gid, tuple(os.getgrouplist(name, found.pw_gid)), found.pw_dir)

    @classmethod
    def same(cls) -> Self:
        """Of this process."""
        return cls(None, None, (), str(Path.home()))


@contextmanager
def started(account: Account, folder: NodeFolder, unreadable: Sequence[Path]) -> Iterator[socket.socket]:
    """A confined process for the node in ``folder``, as long as the block lasts.

    Args:
        account: whom it runs as.
        folder: the node's, of which the process sees a copy of the experiment and of its code.
        unreadable: files that must be out of its reach.

    Yields:
        The socket by which it is spoken to.
    """
    here, there = socket.socketpair()
    with here, _copied(folder.folder, account) as copy:
        with there:
            settings = {
                "socket": there.fileno(),
                "user": account.user,
                "group": account.group,
                "groups": account.groups,
                "scratch": str(copy.parent / SCRATCH),
                "unreadable": [str(path) for path in unreadable],
            }
            process = subprocess.Popen(
                command(json.dumps(settings)),
                cwd=copy,
                env={**ENVIRONMENT, "HOME": account.home, "TMPDIR": str(copy.parent / SCRATCH)},
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # a terminal of the administrator's could be read from, too
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        printing = threading.Thread(target=_show, args=(process.stdout,), daemon=True)
        printing.start()
        try:
            yield here
        finally:
            here.close()  # which ends it, unless it is in the middle of something
            process.terminate()
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            printing.join(SECONDS)


@contextmanager
def confined(folder: NodeFolder, account: Account, policy: Path) -> Iterator[ConfinedFolder]:
    """``folder``, whose node is made and trained by processes of ``account``: one at a time, until the block ends.

    Private keys, the site's ``policy`` and its ledger must be out of their reach.
    """
    with ExitStack() as running:

        def start() -> socket.socket:
            running.close()  # the one before has died, or has done its part
            ledger = Path(read_policy(policy, folder.folder).ledger)
            on = running.enter_context(
                started(account, folder, [policy, ledger, *(folder.folder / name for name in FILES)])
            )
            on.settimeout(ANSWER)
            return on

        yield ConfinedFolder.of(folder, start)


def command(settings: str) -> list[str]:
    """What is started."""
    return [sys.executable, "-I", "-m", LAUNCHER, settings]


def _show(printed: IO[bytes]) -> None:
    """What the process prints, as far as a terminal does nothing else with it."""
    with printed:
        for line in iter(lambda: printed.readline(LINE), b""):
            print(printable(line.decode(errors="replace").rstrip("\n")), file=sys.stderr, flush=True)


@contextmanager
def _copied(folder: Path, account: Account) -> Iterator[Path]:
    """What was approved, and no more: the confined process may read it, and it is not its own to change."""
    with tempfile.TemporaryDirectory(prefix="rumormill-program-") as temporary:
        copy = Path(temporary) / "node"
        copy.mkdir()
        (Path(temporary) / SCRATCH).mkdir()
        (copy / CODE).mkdir()
        for file in approved(folder):
            shutil.copyfile(file, copy / file.relative_to(folder))
        for path in (Path(temporary), *Path(temporary).rglob("*")):
            if account.group is not None:
                os.chown(path, -1, account.group)
            path.chmod(0o750 if path.is_dir() else 0o640)
        yield copy
