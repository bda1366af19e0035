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
    """By name, what was measured of the whole network when it was last evaluated, and since; empty before that.

    Raises:
        InputError: the end of ``metrics.jsonl`` or ``timing.jsonl`` is damaged.
    """
    file, round = run / "metrics.jsonl", last_evaluated(run)

    def has_all_of_it(lines: Sequence[bytes]) -> bool:
        return bool(lines) and _record(lines[0], records.METRIC, file)["round"] < round

    with reading(file):
        lines = last_lines(file, has_all_of_it)
    found = dict[str, float]()
    for line in [*lines[-1:], *reversed([each for each in lines if OF_THE_NETWORK in each])]:
        metric = _record(line, records.METRIC, file)
        if metric["round"] < round:
            break
        if metric["node"] is None:
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


def last_evaluated(run: Path) -> int:
    """The round of the last evaluation; 0 before the first.

    Raises:
        InputError: the end of ``timing.jsonl`` is damaged.
    """
    return max([0, *(int(line["round"]) for line in _last(run / "timing.jsonl", records.TIMING))])


def rounds_done(run: Path, running: bool) -> int:
    """Rounds finished at the last evaluation; of a ``running`` run also those since then whose messages are written.

    Raises:
        InputError: the end of a file is damaged.
    """
    return max(last_evaluated(run), _under_way(run / MESSAGES) - 1 if running else 0)


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
