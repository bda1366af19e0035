"""What has left a site: lines of JSON, appended before anything leaves, each bound to the one before it by its hash.

The file outlives runs and checkpoints: what a node has spent is what stands here. A line that was changed, taken out or
put in breaks the chain; that lines were cut off at the end shows only to one who knows the last hash.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulator.core import atomic
from simulator.core.errors import InputError, wrong

FIRST = "0" * 64  # what the first line is bound to
Line = Mapping[str, Any]


class Ledger:
    """The ledger at ``path``, to which several processes of a site may append.

    Attributes:
        lines: all there are, in order.
        last: the hash of the last one.

    Raises:
        InputError: it cannot be read or written, or its chain is broken.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.lines, self.last, self._read = path, list[Line](), FIRST, 0
        self._held = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self.alone():
                pass
        except OSError as error:
            what = f"the ledger cannot be opened: {error.strerror}."
            raise wrong(str(path), what, "Let the user that the node runs as write there.") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else appends meanwhile, and what others have appended is in `lines`; one thread at a time.

        What is decided by the lines and written down in the same block has been decided by all of them.

        Raises:
            InputError: what another process has appended breaks the chain.
        """
        if self._held:
            yield
            return
        with self._locked():
            self._held = True
            try:
                self._catch_up()
                yield
            finally:
                self._held = False

    def append(self, entries: Sequence[Line]) -> None:
        """Write ``entries``, with the time; when this returns, they are on the disk.

        Raises:
            InputError: what another process has appended in between breaks the chain.
            OSError: they cannot be written; nothing may leave then.
        """
        with self.alone():
            text, last, lines = "", self.last, []
            for entry in entries:
                line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry, "before": last}
                last = _hash(line)
                lines.append({**line, "hash": last})
                text += _written(lines[-1]) + "\n"
            os.lseek(self._file, 0, os.SEEK_END)
            _write(self._file, text.encode())
            os.fsync(self._file)
            self.lines += lines
            self.last, self._read = last, self._read + len(text.encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        new = not self.path.exists()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            yield
            if new:
                atomic.sync(self.path.parent)
        finally:
            os.close(self._file)

    def _catch_up(self) -> None:
        """Take in what others have appended; half a line, of a process that died before it let anything go, is cut."""
        if os.fstat(self._file).st_size < self._read:
            raise _broken(self.path, len(self.lines), "is gone")
        os.lseek(self._file, self._read, os.SEEK_SET)
        with open(os.dup(self._file), "rb") as file:
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(self._file, self._read + len(whole))
        found = _checked(self.path, whole, self.last, len(self.lines))
        self.lines += found
        self._read += len(whole)
        self.last = found[-1]["hash"] if found else self.last


def verified(path: Path) -> list[Line]:
    """The lines of the ledger at ``path``, which is left as it is.

    Raises:
        InputError: it cannot be read, or its chain is broken.
    """
    try:
        return _checked(path, path.read_bytes(), FIRST, 0)
    except OSError as error:
        what = f"there is no ledger that can be read: {error.strerror}."
        raise wrong(str(path), what, "The policy says where it is: a node that has run here has begun it.") from error


def _checked(path: Path, data: bytes, last: str, before: int) -> list[Line]:
    lines = []
    for number, text in enumerate(data.splitlines(), before + 1):
        try:
            line = json.loads(text)
            said, bound = line["hash"], line["before"]
            right = _hash({key: value for key, value in line.items() if key != "hash"})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _broken(path, number, "is no line of a ledger") from error
        if bound != last or said != right:
            raise _broken(path, number, "is not what was written there, or the line before it is missing")
        lines.append(line)
        last = said
    return lines


def _hash(line: Line) -> str:
    return hashlib.sha256(_written(line).encode()).hexdigest()


def _written(line: Line) -> str:
    return json.dumps(line, ensure_ascii=True)


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _broken(path: Path, number: int, what: str) -> InputError:
    advice = "Somebody has changed it. Nothing leaves until the site's owner has found out who, and begun a new one."
    return wrong(f"{path}:{number}", f"the ledger is broken: this line {what}.", advice)
