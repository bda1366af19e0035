"""Standard output and standard error, as they are: text without markup, errors without a traceback, full disks."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO, cast

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from simulator.core.errors import InputError, Problem, RumormillError


class OutputLost(RumormillError):
    """Standard output cannot be written; what was to be printed is lost, and nothing else."""

    def __init__(self, error: OSError) -> None:
        super().__init__(
            f"standard output cannot be written: {error.strerror}.\n"
            "    What is in files is complete. Print into a file on a disk with room."
        )
        self.closed = error.errno == errno.EPIPE  # by the reader, such as `head`, who knows


class Terminal(Console):
    """Rich's console for text that users and packages wrote: nothing in it is markup."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)


def show_error(error: RumormillError, terminal: Console | None = None) -> None:
    """Print ``error`` without a traceback: where, what, and what to do about it; framed on a terminal."""
    terminal = terminal or Terminal(stderr=True)
    if not terminal.is_interactive:
        terminal.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return
    problems = error.problems if isinstance(error, InputError) else (Problem("", str(error)),)
    title = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    terminal.print(Panel(Group(*map(_shown, problems)), title=title, title_align="left", border_style="red"))


def _shown(problem: Problem) -> Text:
    text = Text(f"{problem.where}: " if problem.where else "", "bold")
    text.append(problem.what, "not bold")
    return text.append(f"\n    {problem.advice}" if problem.advice else "", "not bold dim")


def guard_streams() -> None:
    """From now on, what goes wrong in writing standard output is `OutputLost`, and in standard error nothing.

    A run is not lost because nobody can see how it gets on.
    """

    def lost(stream: TextIO, error: OSError) -> None:
        _discard(stream)
        raise OutputLost(error) from error

    sys.stdout = _guarded(sys.stdout, lost)
    sys.stderr = _guarded(sys.stderr, lambda stream, _: _discard(stream))


def _guarded(stream: TextIO | None, failed: Callable[[TextIO, OSError], None]) -> TextIO:
    """There is no stream where it was closed before the start; then nobody wants the text."""
    return cast(TextIO, _Guarded(open(os.devnull, "w") if stream is None else stream, failed))


def _discard(stream: TextIO) -> None:
    """Let what is written from now on, and what waits to be, go nowhere: Python tries once more when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class _Guarded:
    def __init__(self, stream: TextIO, failed: Callable[[TextIO, OSError], None]) -> None:
        self._stream, self._failed = stream, failed

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, act: Callable[..., Any], *arguments: str) -> None:
        try:
            act(*arguments)
        except OSError as error:
            self._failed(self._stream, error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
