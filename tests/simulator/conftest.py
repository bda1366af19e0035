"""The command line, called in this process."""

import sys

import pytest


@pytest.fixture
def rumormill(monkeypatch, capsys):
    """``rumormill("run", ...)``: exit code, standard output and standard error."""
    from simulator import cli  # here, for it is slow to load

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["rumormill", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return call
