"""The command ``rumormill``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from simulator.config.parsing import load_experiment, load_part
from simulator.config.yaml_file import recipes
from simulator.core.blame import blaming_parts
from simulator.core.errors import RumormillError, did_you_mean, wrong
from simulator.core.observer import Observer
from simulator.core.paths import located
from simulator.deployment.addresses import Addresses
from simulator.deployment.collect import collect
from simulator.deployment.folder import write_folder
from simulator.deployment.keys.commands import revoke_command, sign_command
from simulator.deployment.plan import deployable, plan
from simulator.deployment.site.cli import site
from simulator.deployment.site.data_paths import named_paths
from simulator.deployment.status import control_of, presences
from simulator.doctor import examine
from simulator.part_kinds import descriptions
from simulator.results.comparison import as_markdown, compare, find_runs, show, write_html
from simulator.results.console import Console, show_error
from simulator.results.run_directory import RunDirectory
from simulator.results.terminal import OutputLost, Terminal, guard_streams
from simulator.results.trackers import TRACKERS, Tracker
from simulator.runs.audit import AUDITS, audit, audit_plan, audit_settings
from simulator.runs.launch import resume, run
from simulator.runs.report import write_run_report
from simulator.runs.run import Run
from simulator.runs.trained_elsewhere import trained_elsewhere
from simulator.sweep import load_sweep, run_sweep
from simulator.topology_command import topology_command

HELP = "Simulate decentralized federated learning and measure what it leaks."

# Click suggests the nearest command by itself.
app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, suggest_commands=False, help=HELP
)
deploy = typer.Typer(
    no_args_is_help=True, suggest_commands=False, help="Run experiments on Flower's deployment engine."
)
deploy.command(name="sign")(sign_command)
deploy.command(name="revoke")(revoke_command)
app.add_typer(deploy, name="deploy")
app.add_typer(site, name="site")
app.command(name="topology")(topology_command)
stderr = Terminal(stderr=True)


def _located(param: typer.CallbackParam, given: Any) -> Any:
    """A path of the command line, or several, or none."""
    where = (param.opts[0] if param.opts[0].startswith("-") else param.human_readable_name).rstrip(".")
    if isinstance(given, list | tuple):
        return [located(path, where=where) for path in given]
    return given if given is None else located(given, where=where)


RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.", callback=_located)]
Out = Annotated[Path, typer.Option("--out", help="Where to make the run directory.", callback=_located)]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[PATH=VALUE]...", help="For example rounds=10 or methods.0.beta=0.5.")
]
Plane = Annotated[str | None, typer.Option("--plane", help="p2p or relay; default: the experiment's, or p2p.")]
Engine = Annotated[str | None, typer.Option("--engine", help="deployment or simulation, of Flower's engines.")]
Track = Annotated[list[str] | None, typer.Option("--track", help="Also log to tensorboard or wandb; repeatable.")]


class Elsewhere:
    """Options of `rumormill audit` for models that were trained elsewhere."""

    Models = Annotated[
        list[str] | None,
        typer.Option("--models", help="State dicts (.safetensors, .pt), files or a quoted pattern; repeatable."),
    ]
    Members = Annotated[
        Path | None,
        typer.Option("--members", help=".npz with members: bool, a row a model.", callback=_located),
    ]
    Data = Annotated[Path | None, typer.Option("--data", help=".npz with x and y, all samples.", callback=_located)]
    Network = Annotated[str | None, typer.Option("--network", help="Theirs: net.py:Net, or a model's name.")]
    Settings = Annotated[
        list[str] | None, typer.Option("--network-settings", help="For example hidden=[32]; repeatable.")
    ]
    Task = Annotated[str | None, typer.Option("--task", help="Theirs; default: classification.")]
    Mean = Annotated[str | None, typer.Option("--mean", help="That samples were normalised with: 0.5, or 0.5,0.4,0.4.")]
    Std = Annotated[str | None, typer.Option("--std", help="Likewise.")]
    Out = Annotated[
        Path | None,
        typer.Option("--out", help="Folder for results without a run; default: models-audit.", callback=_located),
    ]


INTERRUPTED = 130


@app.command(name="run")
def run_command(
    experiment: Annotated[
        str, typer.Argument(metavar="RECIPE_OR_FILE", help="See `rumormill list recipes`; - reads standard input.")
    ],
    overrides: Overrides = None,
    out: Out = Path("runs"),
    track: Track = None,
) -> None:
    """Run an experiment and write its report; the last line printed is the run directory."""
    loaded = load_experiment(experiment, overrides or [])
    _finish(lambda observers: run(loaded, out, observers), track)


@deploy.command(name="local")
def deploy_local_command(
    experiment: Annotated[str, typer.Argument(metavar="RECIPE_OR_FILE", help="See `rumormill list recipes`.")],
    overrides: Overrides = None,
    plane: Plane = None,
    engine: Engine = None,
    out: Out = Path("runs"),
    track: Track = None,
) -> None:
    """Run an experiment on Flower on this machine: a SuperLink, and a SuperNode for every node, over TLS."""
    loaded = deployable(load_experiment(experiment, overrides or []), **_given(plane=plane, engine=engine))
    _finish(lambda observers: run(loaded, out, observers), track)


@deploy.command(name="init")
def deploy_init_command(
    experiment: Annotated[str, typer.Argument(metavar="RECIPE_OR_FILE", help="See `rumormill list recipes`.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.", callback=_located)],
    overrides: Overrides = None,
    plane: Plane = None,
    superlink: Annotated[
        str, typer.Option("--superlink", help="Where nodes reach the SuperLink, through its gateway.")
    ] = "127.0.0.1:9443",
    listen: Annotated[
        str | None, typer.Option("--listen", help="Where the gateway listens, if that is another address.")
    ] = None,
    hosts: Annotated[
        list[str] | None, typer.Option("--host", help="Of a node, or none: cannot be reached; repeatable, in order.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Of nodes; those that share a host count up.")] = 9500,
    mailbox_port: Annotated[
        int, typer.Option("--mailbox-port", help="Of the mailbox of the plane relay, beside the gateway.")
    ] = 9445,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="SITE=PATH of its data on its host; repeatable; else its owner fills it in."),
    ] = None,
    lab_keys: Annotated[
        bool, typer.Option("--lab-keys", help="Make the nodes' private keys, too: where one person owns all hosts.")
    ] = False,
) -> None:
    """Write a folder with all that a deployment needs: app, settings, scripts, and what to type where.

    The nodes' keys are made on their hosts (`rumormill site init`), and signed with `rumormill deploy sign`.
    """
    ready = plan(deployable(load_experiment(experiment, overrides or []), **_given(plane=plane)))
    mailbox = mailbox_port if ready.manifest.plane == "relay" else None
    addresses = Addresses.planned(superlink, hosts, ready.manifest.nodes, port, listen, mailbox)
    paths = named_paths(ready.sites, data or ())
    largest = ready.largest
    write_folder(
        folder, ready.experiment, ready.manifest, ready.topology, addresses, ready.files, paths, largest, lab_keys
    )
    print(folder / "README.md")


@deploy.command(name="status")
def deploy_status_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A deployment's, on the SuperLink's host.", callback=_located)
    ],
) -> None:
    """Show which nodes are up, and what runs."""
    table = Table("node", "SuperNode", "since", "certificate")
    for presence in presences(folder):
        table.add_row(*presence)
    Terminal().print(table)
    for each in control_of(folder).runs():
        print(f"run {each['run-id']}: {each['status']}")


@deploy.command(name="collect")
def deploy_collect_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A deployment's, with the nodes' states in it.", callback=_located)
    ],
    without: Annotated[
        list[str] | None,
        typer.Option("--without", help="A node whose host never comes back, as node-3; repeatable: nothing is of it."),
    ] = None,
    out: Out = Path("runs"),
    track: Track = None,
) -> None:
    """Make a run directory of what the nodes of a deployment have on their disks, once they are done."""
    _finish(lambda observers: collect(folder, out, observers, without or ()), track)


@app.command(name="resume")
def resume_command(
    path: RunPath,
    round: Annotated[
        int | None, typer.Option("--round", help="The checkpoint to start from; default: the last.")
    ] = None,
    track: Track = None,
) -> None:
    """Continue a run that was stopped, as if it had never been."""
    _finish(lambda observers: resume(path, round, observers), track)


@app.command(name="sweep")
def sweep_command(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment, and the seeds, grid or arms to vary.")],
    out: Out = Path("runs"),
) -> None:
    """Run an experiment under many settings and seeds; what is finished in the folder already is not run again."""
    outcome = run_sweep(load_sweep(path), out, lambda: [Console(stderr)], stderr)
    for finished in outcome.paths:
        print(finished)
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)
    if outcome.failures:
        raise typer.Exit(1)


@app.command(name="compare")
def compare_command(
    paths: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories, or folders of them.", callback=_located)
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write table and figures into this file.", callback=_located)
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", help="A further metric to show at its end; repeatable.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="An arm of the sweep: show what others gain on it, seed by seed.")
    ] = None,
) -> None:
    """Compare runs: mean and standard deviation over those that differ only in their seed."""
    comparison = compare(find_runs(paths), metrics or (), against)
    if markdown:
        print(as_markdown(comparison), end="")
    else:
        show(comparison, Terminal())
    if html:
        print(write_html(comparison, html))


@app.command(name="audit")
def audit_command(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]",
            help="A run directory, or a recipe or file to plan with; none with --models.",
            callback=_located,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[SETTING=VALUE]...", help="Of the audit, for example samples=200.")
    ] = None,
    name: Annotated[str, typer.Option("--audit", help="See `rumormill list audits`.")] = "membership",
    attacks: Annotated[list[str] | None, typer.Option("--attack", help="Repeatable; default: all it has.")] = None,
    signals: Annotated[
        list[str] | None, typer.Option("--signal", help="What to judge by; repeatable; default: the cheap ones.")
    ] = None,
    views: Annotated[
        list[str] | None, typer.Option("--view", help="Who looks on; repeatable; default: all that the run allows.")
    ] = None,
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
    options = {"attacks": attacks, "signals": signals, "views": views, "replicas": replicas}
    given = {setting: value for setting, value in options.items() if value}
    elsewhere = _given(
        models=models, members=members, data=data, network=network, network_settings=network_settings, task=task,
        mean=mean, std=std, **({"out": out} if path is None else {}),
    )  # fmt: skip
    if elsewhere:
        if path is not None:
            what = f"the run {path} and models that were trained elsewhere cannot be audited at once."
            raise wrong(f"--{next(iter(elsewhere)).replace('_', '-')}", what, "Leave one of them out.")
        print(AUDITS.load(name).of_models(trained_elsewhere(**elsewhere), given))
        return
    if path is None:
        raise wrong("RUN", "there is nothing to audit.", "Name a run directory, or models: --models 'm*.safetensors'.")
    settings = audit_settings(name, given, overrides or [])
    if path.is_file() or (not path.exists() and path.name in recipes()):
        print(audit_plan(load_experiment(path if path.is_file() else path.name), settings, out or Path("plan-audit")))
        return
    if out is not None:
        raise wrong("--out", "the results of a run's audit lie in the run.", "Leave it out.")
    results = audit(path, settings)
    stderr.print(f"Report: {write_run_report(RunDirectory.open(path))}", soft_wrap=True)
    print(results)


@app.command(name="report")
def report_command(path: RunPath) -> None:
    """Write a run's report anew; prints its path."""
    print(write_run_report(RunDirectory.open(path)))


@app.command(name="list")
def list_command(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="recipes, graphs, methods, models, ...")] = None,
) -> None:
    """List what can be named in an experiment."""
    kinds = descriptions()
    if kind is not None and kind not in kinds:
        raise wrong("list", f"there is no kind '{kind}'.", did_you_mean(kind, list(kinds), "kinds"))
    terminal = Terminal()
    for name in [kind] if kind else kinds:
        table = Table(title=name, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 2))
        for entry, text in kinds[name]().items():
            table.add_row(Text(entry, "bold"), Text(text))
        terminal.print(table)


@app.command(name="doctor")
def doctor_command() -> None:
    """Check that everything Rumormill needs is installed and works here."""
    healthy = True
    for check in examine():
        healthy &= check.passed
        verdict = ("FAIL", "red") if not check.passed else ("note", "yellow") if check.note else ("ok  ", "green")
        stderr.print(Text.assemble(verdict, f" {check.name}: {check.found}{check.note and f'. {check.note}'}"))
    if not healthy:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line: errors as where, what, what to do; exit code 2 for bad input, 1 for a failed run."""
    guard_streams()
    try:
        try:
            with blaming_parts():
                app()
        finally:
            sys.stdout.flush()
    except RumormillError as error:
        if not (isinstance(error, OutputLost) and error.closed):
            show_error(error, stderr)
        sys.exit(error.exit_code)


def _finish(start: Callable[[list[Observer]], Run], track: list[str] | None) -> None:
    trackers = [_tracker(name) for name in track or []]
    ended = start([Console(stderr), *trackers])
    if ended.status == "interrupted":
        stderr.print(f"Interrupted. Continue with: rumormill resume {ended.path}", soft_wrap=True)
    else:
        stderr.print(f"Report: {write_run_report(ended.directory)}", soft_wrap=True)
    print(ended.path)
    if ended.status == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _tracker(name: str) -> Tracker:
    tracker = TRACKERS.build(load_part(TRACKERS, {"name": name}))
    tracker.require()
    return tracker
