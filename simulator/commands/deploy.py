"""The commands ``rumormill deploy``, for the organiser of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.loading import loading
from simulator.commands.options import Experiment, Out, Overrides, Track, given, located_paths
from simulator.commands.run import finish
from simulator.deployment.keys.commands import revoke_command, sign_command
from simulator.results.terminal import Terminal

deploy = typer.Typer(
    no_args_is_help=True, suggest_commands=False, help="Run experiments on Flower's deployment engine."
)
deploy.command(name="sign")(sign_command)
deploy.command(name="revoke")(revoke_command)

Plane = Annotated[str | None, typer.Option("--plane", help="p2p or relay; default: the experiment's, or p2p.")]
Engine = Annotated[str | None, typer.Option("--engine", help="deployment or simulation, of Flower's engines.")]


@deploy.command(name="local")
def local_command(
    experiment: Experiment,
    overrides: Overrides = None,
    plane: Plane = None,
    engine: Engine = None,
    out: Out = Path("runs"),
    track: Track = None,
) -> None:
    """Run an experiment on Flower on this machine: a SuperLink, and a SuperNode for every node, over TLS."""
    with loading():
        from simulator.config.parsing import load_experiment
        from simulator.deployment.plan import deployable
        from simulator.runs.launch import run

    loaded = deployable(load_experiment(experiment, overrides or []), **given(plane=plane, engine=engine))
    finish(lambda observers: run(loaded, out, observers), track)


@deploy.command(name="init")
def init_command(
    experiment: Experiment,
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.", callback=located_paths)],
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
    from simulator.config.parsing import load_experiment
    from simulator.deployment.addresses import Addresses
    from simulator.deployment.folder import write_folder
    from simulator.deployment.plan import deployable, plan
    from simulator.deployment.site.data_paths import named_paths

    ready = plan(deployable(load_experiment(experiment, overrides or []), **given(plane=plane)))
    mailbox = mailbox_port if ready.manifest.plane == "relay" else None
    addresses = Addresses.planned(superlink, hosts, ready.manifest.nodes, port, listen, mailbox)
    paths = named_paths(ready.sites, data or ())
    largest = ready.largest
    write_folder(
        folder, ready.experiment, ready.manifest, ready.topology, addresses, ready.files, paths, largest, lab_keys
    )
    print(folder / "README.md")


@deploy.command(name="status")
def status_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A deployment's, on the SuperLink's host.", callback=located_paths)
    ],
) -> None:
    """Show which nodes are up, and what runs."""
    from rich.table import Table

    from simulator.deployment.status import control_of, presences

    table = Table("node", "SuperNode", "since", "certificate")
    for presence in presences(folder):
        table.add_row(*presence)
    Terminal().print(table)
    for each in control_of(folder).runs():
        print(f"run {each['run-id']}: {each['status']}")


@deploy.command(name="collect")
def collect_command(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A deployment's, with the nodes' states in it.", callback=located_paths),
    ],
    without: Annotated[
        list[str] | None,
        typer.Option("--without", help="A node whose host never comes back, as node-3; repeatable: nothing is of it."),
    ] = None,
    out: Out = Path("runs"),
    track: Track = None,
) -> None:
    """Make a run directory of what the nodes of a deployment have on their disks, once they are done."""
    from simulator.deployment.collect import collect

    finish(lambda observers: collect(folder, out, observers, without or ()), track)
