"""Where the built-in experiments are; to name them, nobody needs to read YAML."""

from __future__ import annotations

from pathlib import Path


def recipes() -> dict[str, Path]:
    """The built-in experiments, by name."""
    folder = Path(__file__).parents[1] / "recipes"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}
