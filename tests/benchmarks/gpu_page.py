"""The results of `gpu.py` as a page for people to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def page(found: Mapping[str, Any]) -> str:
    """Markdown: the device, the tests, tables, and what is missing and why."""
    pieces = found["pieces"]
    lines = [
        "# On a GPU",
        "",
        f"torch {found['torch']}, Python {found['python']}, {found['minutes']:g} minutes at most.",
        *_single(pieces),
        *_trainers(_of(pieces, "trainers: ")),
        *_inner_programs(_of(pieces, "inner program, ")),
        *_missing(pieces),
    ]
    return "\n".join(lines) + "\n"


def _of(pieces: Sequence[Mapping[str, Any]], prefix: str) -> list[Mapping[str, Any]]:
    """What was found by the pieces called so that are done."""
    return [piece["found"] for piece in pieces if piece["name"].startswith(prefix) and piece["state"] == "done"]


def _single(pieces: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for found in _of(pieces, "device"):
        yield "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in found.items()) + "."
    for found in _of(pieces, "tests"):
        yield f"\nTests marked `gpu`: {found['said']}."
    rates = [piece for piece in pieces if piece["name"].startswith("matrix rate") and piece["state"] == "done"]
    if rates:
        told = (f"{each['name'].split(', ')[1]} {each['found']['flop_per_s'] / 1e12:.3g}" for each in rates)
        size = rates[0]["found"]["size"]
        yield f"\nMatrix rate, TFLOP/s, products of {size} x {size}: {', '.join(told)}."


def _trainers(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield "\n## Stacked against sequential\n"
    yield "Node-steps a second, drawing and preparing batches included, and the share of the matrix rate named; peak"
    yield "memory with parameters, momentum and data.\n"
    yield "| model | nodes | precision | sequential/s | share | stacked/s | share | of | gain | stacked peak MiB |"
    yield "|---|---:|---|---:|---:|---:|---:|---|---:|---:|"
    for row in rows:
        ways = (f"{row[f'{way}_per_s']:.4g} | {_percent(row.get(f'{way}_share'))}" for way in ("sequential", "stacked"))
        yield (
            f"| {row['model']} | {row['nodes']} | {row['precision']} | {' | '.join(ways)} | {row['rate']} "
            f"| {row['gain']:.2f} | {_mebibytes(row.get('stacked_peak_bytes'))} |"
        )


def _inner_programs(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    plain = {_case(row): row["per_s"] for row in rows if row["way"] == "plain"}
    yield "\n## The stacked step's inner program\n"
    yield "Forward pass, backward pass and update of all models on one batch that is there already; not a run's step,"
    yield "which has to draw and prepare its batch too. Difference: how far the models are from those of the plain way"
    yield "after three steps, over how far those have come.\n"
    yield "| model | nodes | precision | way | node-steps/s | over plain | compiling, s | difference | peak MiB |"
    yield "|---|---:|---|---|---:|---:|---:|---:|---:|"
    for row in sorted(rows, key=lambda row: (row["model"], row["nodes"], row["precision"])):
        over = f"{row['per_s'] / plain[_case(row)]:.2f}" if _case(row) in plain else ""
        compiling = f"{row['compile_s']:.1f}" if "compile_s" in row else ""
        difference = f"{row['difference']:.1e}" if "difference" in row else ""
        yield (
            f"| {row['model']} | {row['nodes']} | {row['precision']} | {row['way']} | {row['per_s']:.4g} | {over} "
            f"| {compiling} | {difference} | {_mebibytes(row.get('peak_bytes'))} |"
        )


def _missing(pieces: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    others = [piece for piece in pieces if piece["state"] != "done"]
    if others:
        yield "\n## Not measured\n"
        yield from (f"- {each['name']}: {each['state']}{_why(each)}" for each in others)


def _why(piece: Mapping[str, Any]) -> str:
    return f": {' '.join(piece['why'].split())}" if "why" in piece else ""


def _case(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["model"], row["nodes"], row["precision"]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def _mebibytes(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:.0f}"
