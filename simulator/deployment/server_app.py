"""The ServerApp: who is there, what is to be done until when; of models and data it never sees anything."""

from __future__ import annotations

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from simulator.deployment.members import Members
from simulator.deployment.messenger import Messenger
from simulator.deployment.phases import Phases
from simulator.deployment.run_manifest import RunManifest

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Wait for the nodes, then take them through the run.

    Raises:
        RuntimeError: a node is missing, is of another experiment, or cannot go on.
    """
    manifest = RunManifest.read(context.run_config)
    members = Members(grid, manifest)
    members.gather()
    messenger = Messenger(grid, {node: member.number for node, member in members.found.items()})
    Phases(members, messenger, manifest).run()
