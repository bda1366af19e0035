"""The text files of a deployment's folder: Flower's settings, scripts that start it, and what to type where."""

from __future__ import annotations

import json
from collections.abc import Sequence

from simulator.deployment.run_manifest import RunManifest

CONNECTION = "deployment"  # what the command line calls the SuperLink
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}  # else both ask servers outside

APP = """\
[project]
name = "rumormill-deployment"
version = "1.0.0"
description = "Rumormill on Flower."
license = "Apache-2.0"
dependencies = ["flwr"]

[tool.flwr.app]
publisher = "rumormill"
fab-include = ["README.md"]

[tool.flwr.app.components]
serverapp = "simulator.deployment.server_app:app"
clientapp = "simulator.deployment.client_app:app"

[tool.flwr.app.config]
{config}
folder = ""  # of this deployment, where Flower's simulation engine runs all nodes on one machine
"""

SIMULATION = f"""\
[superlink]
default = "{CONNECTION}"

[superlink.{CONNECTION}]
address = ":local:"
"""

SUPERLINK = """\
#!/bin/sh
# The SuperLink, and beside it what runs the ServerApp, so that a run survives a restart of the SuperLink.
cd "$(dirname "$0")" || exit 1
export FLWR_HOME="$PWD/home" {quiet}
mkdir -p home
cat > home/config.toml <<END
{connection}END
flower-superexec --runtime-api-address {address} --root-certificates ca.crt \\
  --superexec-auth-secret-file superexec.secret &
executor=$!
trap 'kill $link $executor; exit' INT TERM
while true; do
  flower-superlink --host {host} --port {port} --ssl-ca-certfile ca.crt --ssl-certfile superlink.crt \\
    --ssl-keyfile superlink.key --enable-supernode-auth --isolation process --database superlink.db \\
    --superexec-auth-secret-file superexec.secret --disable-runtime-dependency-installation &
  link=$!
  wait $link && break
  kill -0 $executor || break
  sleep 5
done
kill $executor
"""

NODE = """\
#!/bin/sh
# This node's SuperNode; started again when it ends, since the SuperLink refuses it for a minute after a crash.
cd "$(dirname "$0")" || exit 1
export FLWR_HOME="$PWD/home" {quiet}
rumormill site policy "$PWD" > /dev/null || exit 2
trap 'kill $node; exit' INT TERM
while true; do
  flower-supernode --superlink {address} --root-certificates ca.crt --auth-supernode-private-key supernode \\
    --port {runtime} --node-config "folder=\\"$PWD\\"" &
  node=$!
  wait $node
  sleep 15
done
"""

SHARED_DATA = """\
It also needs the data sets at the paths in
`experiment.yaml`: each node takes its own part of them."""

OWN_DATA = """\
A node opens its own data and no
other's: its owner writes where they lie on that host into `node.yaml` (`data: {path: ...}`), and types
`rumormill site check node-N`, which says whether they are what the experiment's schema declares, and tells nobody else.
Public samples and a common test set, where there are any, lie on every host at the paths in `experiment.yaml`."""

README = """\
# A deployment of {nodes} nodes, plane {plane}

Made by `rumormill deploy init`. Every host needs Python, and the same version of the package on its PATH:
`pip install rumormill=={version}`. Clocks must agree within seconds. {data}

| what | where it goes | what it holds |
|---|---|---|
| `authority/` | nowhere: keep it offline | the key that issues certificates |
| `superlink/` | the SuperLink's host | its certificate and key |
| `app/`, `experiment.yaml` | with `superlink/` | the run's configuration |
| `nodes/node-N/` | node N's host, nobody else's | its certificate and keys, `node.yaml`, its state |
| `nodes/node-N/code/` | with it | the code that the experiment names: read it before the node executes it |
| `site.yaml` | each host's owner writes it, outside this folder | what may leave the host |

Copy each part over a secure channel (scp): whoever has a node's folder is that node. All keys are pinned here and never
taken from the SuperLink. To change an address, edit `node.yaml` of the node and of its neighbours.

## On the SuperLink's host ({superlink})

```sh
superlink/start.sh &
export FLWR_HOME="$PWD/superlink/home" {quiet}
{register}
```

Flower's control interface has no login and shares the port with that of the nodes: whoever reaches it can run code on
all nodes. So let the SuperLink listen on loopback or on a private network, and let nodes come in through a reverse
proxy (or ssh tunnels) that passes `/v1/fleet/` and `/health` alone, for example with nginx:

```
location /v1/fleet/ {{ proxy_pass https://{superlink}; }}
location = /health  {{ proxy_pass https://{superlink}; }}
location /          {{ return 403; }}
```

## On every node's host

{hosts}

Before that, the owner of the host lets this experiment run: `rumormill site approve node-N` says what it would send,
and with `--by NAME --until DATE` adds it to the site's policy (`/etc/rumormill/site.yaml`, or where `RUMORMILL_SITE`
says; the README of Rumormill has an example). Without a policy the script ends.

Each script starts its SuperNode again when it ends. Neighbours must reach each other at these addresses (plane p2p).

## Run

On the SuperLink's host, once the nodes are up; the app waits {join:g} s for those that are missing and names them:

```sh
flwr run app {connection} --format json          # prints run-id; accepted is not finished
flwr ls {connection} --run-id RUN_ID --format json   # status: finished:completed is the only success
flwr log RUN_ID {connection} --stream            # who is there, how far the nodes are
flwr stop RUN_ID {connection}                    # nodes end their phase first
```

The same run submitted again goes on where the nodes stopped; for a new one change `run` in `app/pyproject.toml`
(at most 32 letters, digits, - and _). One run at a time.

## Collect

Bring the folders `nodes/node-N/report` together under this folder (`state` stays on its host), and make a run directory
like any other of them:

```sh
rumormill deploy collect . --out runs
```
"""


def app_project(manifest: RunManifest) -> str:
    """The app's ``pyproject.toml``."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in manifest.to_config().items()]
    return APP.format(config="\n".join(lines))


def connection(superlink: str, authority: str) -> str:
    """``config.toml`` of Flower's command line; ``authority`` is the absolute path of ``ca.crt``."""
    return (
        f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
        f'address = "{superlink}"\nroot-certificates = "{authority}"\n'
    )


def superlink_script(superlink: str) -> str:
    """Starts the SuperLink."""
    host, _, port = superlink.rpartition(":")
    settings = connection(superlink, "$PWD/ca.crt")
    return SUPERLINK.format(address=superlink, host=host, port=port, connection=settings, quiet=_exports())


def node_script(superlink: str, runtime: int) -> str:
    """Starts a node's SuperNode."""
    return NODE.format(address=superlink, runtime=runtime, quiet=_exports())


def readme(manifest: RunManifest, superlink: str, nodes: Sequence[str], own_data: bool = False) -> str:
    """What to type on which host; with ``own_data``, each node's own host has its data, and no other has."""
    register = "\n".join(
        f"flwr supernode register nodes/node-{node}/supernode.pub {CONNECTION} --name node-{node}"
        for node in range(len(nodes))
    )
    hosts = "\n".join(f"* node {node}, {address}: `node-{node}/start.sh`" for node, address in enumerate(nodes))
    return README.format(
        nodes=manifest.nodes,
        plane=manifest.plane,
        version=manifest.version,
        join=manifest.join_timeout,
        superlink=superlink,
        register=register,
        hosts=hosts,
        data=OWN_DATA if own_data else SHARED_DATA,
        quiet=_exports(),
        connection=CONNECTION,
    )


def _exports() -> str:
    return " ".join(f"{name}={value}" for name, value in QUIET.items())
