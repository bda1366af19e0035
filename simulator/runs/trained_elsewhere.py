"""Models that were trained elsewhere, as the command line names them, for audits that need no run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.config.yaml_file import read_value
from simulator.core.errors import InputError, Problem, wrong

NEEDED = {
    "--models": "Name the models' state dicts: --models 'm*.safetensors'.",
    "--members": "Say who trained on what: --members masks.npz, with members, bool [models, samples].",
    "--data": "Name the samples: --data d.npz, with x and y.",
    "--network": "Name the network that they are models of: --network net.py:Net.",
}


@dataclass(frozen=True)
class TrainedElsewhere:
    """Models, their data, and who trained on what: as files.

    Attributes:
        models: files of state dicts, or patterns of such.
        members: the ``.npz`` file with "members", bool [models, samples].
        data: the ``.npz`` file with "x", "y" and what else the audit knows.
        network: "file.py:Class", "package.module:Class", or the name of a built-in model.
        network_settings: by name.
        task: what they were trained for, by name.
        normalisation: "mean" and "std", where the command line gives them.
        out: the folder for the results.
    """

    models: Sequence[str]
    members: Path
    data: Path
    network: str
    network_settings: Mapping[str, Any]
    task: str
    normalisation: Mapping[str, Sequence[float]]
    out: Path


def trained_elsewhere(
    *,
    models: Sequence[str] = (),
    members: Path | None = None,
    data: Path | None = None,
    network: str | None = None,
    network_settings: Sequence[str] = (),
    task: str = "classification",
    mean: str | None = None,
    std: str | None = None,
    out: Path = Path("models-audit"),
) -> TrainedElsewhere:
    """What the options of the command line name.

    Raises:
        InputError: one that is needed is missing, or a number is none.
    """
    needed = {"--models": models, "--members": members, "--data": data, "--network": network}
    if members is None or data is None or network is None or not models:
        raise InputError(
            *(Problem(name, "it is missing.", NEEDED[name]) for name, value in needed.items() if not value)
        )
    normalisation = {name: _numbers(name, text) for name, text in (("mean", mean), ("std", std)) if text}
    settings = dict(_setting(each) for each in network_settings)
    return TrainedElsewhere(models, members, data, network, settings, task, normalisation, out)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise wrong("--network-settings", f"'{text}' sets nothing.", "Write a setting as hidden=[32].")
    return name, read_value(value, f"--network-settings {name}")


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(each) for each in text.split(",")]
    except ValueError as error:
        raise wrong(f"--{name}", f"'{text}' is no number, nor several.", "For example 0.5, or 0.5,0.4,0.4.") from error
