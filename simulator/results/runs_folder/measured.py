"""What a run has measured last: of files that may be long, their ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from simulator.core.damage import read_json, read_record, reading
from simulator.results import records
from simulator.results.places import AUDIT_METRICS, AUDIT_RESULT, MESSAGES
from simulator.results.runs_folder.ends import last_lines

OF_THE_NETWORK = b'"node": null'
PACE = 10  # evaluations, that time left is judged by


def last_evaluation(run: Path) -> dict[str, float]:
    """By name, what was measured of the whole network when it was last evaluated; empty before that.

    Raises:
        InputError: the end of ``metrics.jsonl`` is damaged.
    """
    file = run / "metrics.jsonl"
    with reading(file):
        lines = last_lines(file, _whole_evaluation)
    found, round = dict[str, float](), None
    for line in [*lines[-1:], *reversed([each for each in lines if OF_THE_NETWORK in each])]:
        metric = _record(line, records.METRIC, file)
        if metric["node"] is None:
            round = metric["round"] if round is None else round
            if metric["round"] != round:
                break
            found.setdefault(metric["name"], float(metric["value"]))
    return found


def audits_of(run: Path) -> dict[str, Mapping[str, float]]:
    """The figures of each audit that has ended, by the audit's name.

    Raises:
        InputError: they are damaged.
    """
    if not (run / "audit").is_dir():
        return {}
    ended = sorted(run.glob(f"audit/*/{AUDIT_RESULT}"))
    return {result.parent.name: _figures(result.with_name(AUDIT_METRICS)) for result in ended}


def rounds_done(run: Path, running: bool) -> int:
    """Rounds finished at the last evaluation; of a ``running`` run also those since then whose messages are written.

    Raises:
        InputError: the end of a file is damaged.
    """
    evaluated = [int(line["round"]) for line in _last(run / "timing.jsonl", records.TIMING)]
    return max([0, *evaluated, _under_way(run / MESSAGES) - 1 if running else 0])


def _under_way(log: Path) -> int:
    from simulator.results.message_log import last_round  # of most folders no run is under way

    return last_round(log) if log.exists() else 0


def seconds_a_round(run: Path) -> float | None:
    """How long the last rounds took, evaluations not counted; None before the first evaluation.

    Raises:
        InputError: the end of ``timing.jsonl`` is damaged.
    """
    lines = _last(run / "timing.jsonl", records.TIMING, PACE)
    rounds = sum(line["rounds"] for line in lines)
    return sum(line["seconds"] for line in lines) / rounds if rounds else None


def _last(file: Path, of: TypeAdapter[Any], number: int = 1) -> list[dict[str, Any]]:
    with reading(file):
        lines = last_lines(file)
    return [_record(line, of, file) for line in lines[-number:]]


def _record(line: bytes, of: TypeAdapter[Any], file: Path) -> dict[str, Any]:
    return read_record(line, of, f"{file}, near its end")


def _figures(file: Path) -> Mapping[str, float]:
    found: Mapping[str, float] = read_json(file, records.AUDIT_METRICS) if file.exists() else {}
    return found


def _whole_evaluation(lines: Sequence[bytes]) -> bool:
    """Whether ``lines`` begin before the last lines of the network do, which are written one after the other."""
    inside = False
    for line in reversed(lines):
        if OF_THE_NETWORK in line:
            inside = True
        elif inside:
            return True
    return False
