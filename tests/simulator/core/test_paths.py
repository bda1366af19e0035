"""Where what a person names is looked for, and that it is told."""

from pathlib import Path

import pytest

from simulator.core.errors import InputError
from simulator.core.paths import place


def test_the_whole_path_is_told_where_nothing_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=str(tmp_path / "below" / "clinics")):
        place(Path("clinics"), Path("below"))
