"""Whether a file of the user's hides one of our packages: ``methods.py`` beside a script, for example.

A ``simulator.py`` is found before any of this can run: then Python itself names its path.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("auditing", "methods", "simulator", "topologies")


class HiddenPackageError(ImportError):
    """A package of ours cannot be imported, since something else bears its name."""


def check_not_hidden() -> None:
    """Look where our packages would be imported from.

    Raises:
        HiddenPackageError: one of them would not be ours.
    """
    home = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        try:
            spec = find_spec(name)
        except ValueError:  # of a module in sys.modules that says nothing of itself
            continue
        places = [Path(place).resolve() for place in (spec and spec.submodule_search_locations) or ()]
        if spec and home / name not in places:
            found = spec.origin or ", ".join(map(str, places))
            raise HiddenPackageError(
                f"{found} hides the package '{name}' of rumormill, which is in {home}.\n"
                f"    Rename it, for example to my_{name}.py, or start from another folder."
            )
