"""Which SuperNodes may take part, as the SuperLink has it: those whose public keys lie in ``supernodes/``."""

from __future__ import annotations

from pathlib import Path

from simulator.core.errors import RunError
from simulator.deployment.control import Control

SUPERNODES = "supernodes"  # of the SuperLink's folder
UNKNOWN = "registered before"  # where this process has not seen what the SuperLink calls a node


def agree(folder: Path, control: Control) -> int:
    """Have the SuperLink forget the keys that are gone from its ``folder``, or are others now, and take in new ones.

    What the SuperLink calls a node is kept beside its key, with the key that it has.

    Returns:
        How many nodes may take part.

    Raises:
        RunError: the SuperLink does not do it.
    """
    keys = folder / SUPERNODES
    for known in sorted(keys.glob("*.id")):
        key, has = known.with_suffix(".pub"), known.with_suffix(".registered")
        if not key.exists() or (has.exists() and has.read_bytes() != key.read_bytes()):
            _forget(control, known)
            has.unlink(missing_ok=True)
    for key in (found := sorted(keys.glob("*.pub"))):
        if not (known := key.with_suffix(".id")).exists():
            content = key.read_bytes()
            known.write_text(_registered(control, key))
            key.with_suffix(".registered").write_bytes(content)
    return len(found)


def agree_again(folder: Path, control: Control) -> None:
    """As `agree`, with a SuperLink that may not answer now: then it is said, and done later."""
    try:
        agree(folder, control)
    except RunError as error:
        print(f"the nodes' keys could not be brought to the SuperLink: {error}", flush=True)


def _registered(control: Control, key: Path) -> str:
    try:
        return control.register(key, key.stem)
    except RunError as error:
        if "already in use" not in str(error):
            raise
        return UNKNOWN


def _forget(control: Control, known: Path) -> None:
    number = known.read_text().strip()
    if number == UNKNOWN:
        advice = "find its number with `flwr supernode list`, then: flwr supernode unregister NUMBER"
        print(f"{known.stem} may still take part; {advice}", flush=True)
    else:
        control.unregister(number)
        print(f"{known.stem} may not take part any more with the key that it had", flush=True)
    known.unlink()
