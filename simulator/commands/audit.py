"""The command ``rumormill audit``: of a run, of an experiment before it is run, or of models trained elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.loading import loading
from simulator.commands.options import completed, given, located_paths
from simulator.core.errors import wrong
from simulator.results.terminal import Terminal


class Elsewhere:
    """Options for models that were trained elsewhere."""

    Models = Annotated[
        list[str] | None,
        typer.Option("--models", help="State dicts (.safetensors, .pt), files or a quoted pattern; repeatable."),
    ]
    Members = Annotated[
        Path | None,
        typer.Option("--members", help=".npz with members: bool, a row a model.", callback=located_paths),
    ]
    Data = Annotated[
        Path | None, typer.Option("--data", help=".npz with x and y, all samples.", callback=located_paths)
    ]
    Network = Annotated[str | None, typer.Option("--network", help="Theirs: net.py:Net, or a model's name.")]
    Settings = Annotated[
        list[str] | None, typer.Option("--network-settings", help="For example hidden=[32]; repeatable.")
    ]
    Task = Annotated[str | None, typer.Option("--task", help="Theirs; default: classification.")]
    Mean = Annotated[str | None, typer.Option("--mean", help="That samples were normalised with: 0.5, or 0.5,0.4,0.4.")]
    Std = Annotated[str | None, typer.Option("--std", help="Likewise.")]
    Out = Annotated[
        Path | None,
        typer.Option("--out", help="Folder for results without a run; default: models-audit.", callback=located_paths),
    ]


class Chosen:
    """Options for what an audit does."""

    Attacks = Annotated[
        list[str] | None,
        typer.Option("--attack", help="Repeatable; default: all it has.", autocompletion=completed("attacks")),
    ]
    Signals = Annotated[
        list[str] | None,
        typer.Option(
            "--signal",
            help="What to judge by; repeatable; default: the cheap ones.",
            autocompletion=completed("signals"),
        ),
    ]
    Views = Annotated[
        list[str] | None,
        typer.Option(
            "--view",
            help="Who looks on; repeatable; default: all that the run allows.",
            autocompletion=completed("views"),
        ),
    ]


def audit_command(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]",
            help="A run directory, or a recipe or file to plan with; none with --models.",
            callback=located_paths,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[SETTING=VALUE]...", help="Of the audit, for example samples=200.")
    ] = None,
    name: Annotated[
        str, typer.Option("--audit", help="See `rumormill list audits`.", autocompletion=completed("audits"))
    ] = "membership",
    attacks: Chosen.Attacks = None,
    signals: Chosen.Signals = None,
    views: Chosen.Views = None,
    replicas: Annotated[
        int, typer.Option("--replicas", min=0, help="Networks like the run's to train and compare with; takes as long.")
    ] = 0,
    models: Elsewhere.Models = None,
    members: Elsewhere.Members = None,
    data: Elsewhere.Data = None,
    network: Elsewhere.Network = None,
    network_settings: Elsewhere.Settings = None,
    task: Elsewhere.Task = None,
    mean: Elsewhere.Mean = None,
    std: Elsewhere.Std = None,
    out: Elsewhere.Out = None,
) -> None:
    """Measure what a run, or models trained elsewhere, give away; prints the folder of the results."""
    with loading():
        from simulator.config.parsing import load_experiment
        from simulator.config.recipe_files import recipes
        from simulator.results.run_directory import RunDirectory
        from simulator.runs.audit import AUDITS, audit, audit_plan, audit_settings
        from simulator.runs.report import write_run_report
        from simulator.runs.trained_elsewhere import trained_elsewhere

    options = {"attacks": attacks, "signals": signals, "views": views, "replicas": replicas}
    chosen = {setting: value for setting, value in options.items() if value}
    elsewhere = given(
        models=models, members=members, data=data, network=network, network_settings=network_settings, task=task,
        mean=mean, std=std, **({"out": out} if path is None else {}),
    )  # fmt: skip
    if elsewhere:
        if path is not None:
            what = f"the run {path} and models that were trained elsewhere cannot be audited at once."
            raise wrong(f"--{next(iter(elsewhere)).replace('_', '-')}", what, "Leave one of them out.")
        print(AUDITS.load(name).of_models(trained_elsewhere(**elsewhere), chosen))
        return
    if path is None:
        raise wrong("RUN", "there is nothing to audit.", "Name a run directory, or models: --models 'm*.safetensors'.")
    settings = audit_settings(name, chosen, overrides or [])
    if path.is_file() or (not path.exists() and path.name in recipes()):
        print(audit_plan(load_experiment(path if path.is_file() else path.name), settings, out or Path("plan-audit")))
        return
    if out is not None:
        raise wrong("--out", "the results of a run's audit lie in the run.", "Leave it out.")
    results = audit(path, settings)
    Terminal(stderr=True).print(f"Report: {write_run_report(RunDirectory.open(path))}", soft_wrap=True)
    print(results)
