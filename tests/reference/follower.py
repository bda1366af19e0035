"""Somebody who follows a page to the letter: saves its files, types its commands, and runs its Python, in order.

What stands for the reader's own is what they would put there: ``RUN`` is the directory that the last run has printed.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType

import pytest
from reference.markdown import Page

SET_UP = (("python3", "-m", "venv"), (".", ".venv/bin/activate"), ("pip", "install"))  # which has been done here
ON_HOST = re.compile(r"# on (\w+)")  # the first line of what is typed on another host, of which there is a folder


class Follower:
    """Follows a page in ``folder``, which becomes the current one.

    Args:
        folder: an empty one.
        patch: takes its changes back when the test is over.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, patch
        self.known: dict[str, str] = {}
        self.said: list[str] = []
        patch.chdir(folder)
        patch.syspath_prepend(folder)

    def follow(self, page: Page, leave_out: Callable[[list[str]], bool] = lambda words: False) -> None:
        """Do what ``page`` says, but for the commands to ``leave_out``."""
        module = ModuleType(f"typed_{page.path.stem.replace('-', '_')}")
        self.patch.setitem(sys.modules, module.__name__, module)
        for block in page.blocks:
            if block.file:
                (self.folder / block.file).parent.mkdir(exist_ok=True)
                (self.folder / block.file).write_text(block.text)
                self.patch.delitem(sys.modules, Path(block.file).stem, raising=False)
            elif block.language == "python":
                exec(compile(block.text, str(page), "exec"), vars(module))
            elif block.language == "sh":
                host = ON_HOST.match(block.text)
                (self.folder / host[1]).mkdir(exist_ok=True) if host else None
                os.chdir(self.folder / host[1] if host else self.folder)
                for words in block.commands():
                    if not leave_out(words):
                        self.type(words)

    def type(self, words: list[str]) -> str:
        """Do what a line says; what it prints, which goes to a file after ``>``."""
        if any(tuple(words[: len(begin)]) == begin for begin in SET_UP):
            return ""
        words = [self.known.get(word, word) for word in words]
        words, file = (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, None)
        program, *given = words
        assert program in self.programs, shlex.join(words)
        printed = self.programs[program](self, given)
        self.said.append(printed)
        if file:
            Path(file).write_text(printed)
        return printed

    def rumormill(self, given: list[str]) -> str:
        from simulator import cli

        self.patch.setattr(sys, "argv", ["rumormill", *given])
        out = StringIO()
        with redirect_stdout(out):
            code = _exit_code(cli.main)
        assert not code, shlex.join(given)
        last = (out.getvalue().strip().splitlines() or [""])[-1]
        if Path(last, "provenance.json").exists():
            self.known["RUN"] = last
        return out.getvalue()

    def python(self, given: list[str]) -> str:
        runpy.run_path(given[0], run_name="__main__")
        return ""

    def copy(self, given: list[str]) -> str:
        """``scp`` to a folder that stands for a host."""
        send(given, Path(), self.folder)
        return ""

    def edit(self, given: list[str]) -> str:
        return subprocess.run(["sed", *given], check=True, capture_output=True, text=True).stdout

    programs: Mapping[str, Callable[[Follower, list[str]], str]] = {
        "rumormill": rumormill,
        "python": python,
        "scp": copy,
        "sed": edit,
    }


def send(given: list[str], here: Path, hosts: Path) -> None:
    """What ``scp`` does with a file or a folder in ``here``, where the others' folders are those in ``hosts``."""
    source, (host, _, path) = here / given[-2], given[-1].partition(":")
    target = hosts / host / path
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def _exit_code(main: Callable[[], None]) -> object:
    try:
        main()
    except SystemExit as ended:
        return ended.code
    return 0
