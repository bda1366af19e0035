"""The text files of a deployment's folder: Flower's settings, scripts that start it, and what to type where."""

from __future__ import annotations

import json

from simulator.deployment.addresses import NOWHERE, Addresses
from simulator.deployment.commands import QUIET
from simulator.deployment.keys.expiry import WARNING
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.versions import RELEASES, parsed

LOOK = 30.0  # seconds between two looks of a host: at its clock, or, the SuperLink's, at the nodes' keys
CONNECTION = "deployment"  # what the command line calls the SuperLink

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

HOST = "rumormill-host"  # the program that a script starts
START = f"""\
#!/bin/sh
# Starts what belongs on this host, starts it again when it ends, and ends it with Ctrl-C or SIGTERM.
cd "$(dirname "$0")" && exec {HOST} "$PWD"
"""

SHARED_DATA = """\
It also needs the data sets at the paths in
`experiment.yaml`: each node takes its own part of them."""

OWN_DATA = """\
A node opens its own data and no
other's: its owner writes where they lie on that host into `node.yaml` (`data: {path: ...}`), and types
`rumormill site check node-N`, which says whether they are what the experiment's schema declares, and tells nobody else.
Public samples and a common test set, where there are any, lie on every host at the paths in `experiment.yaml`."""

SITE_KEYS = """\
The private keys of a node are made on its host and stay there. Everything that has to travel may be read by anybody;
that it was not exchanged on the way is for people to compare, on the phone: each fingerprint is eight words.

1. On node N's host, `rumormill site init node-N` makes the keys in the folder `node-N`, and `node-N/request.csr`, which
   is all that its owner sends. It prints the request's fingerprint.
2. Here, `rumormill deploy sign . node-N request.csr` prints it, too: compare it with the owner, then go on. It writes
   the certificate, and says what to send to whom. This can be done for one site after the other.
3. Once all neighbours of a node have been signed, and with masked sums also theirs, `nodes/node-N/` goes to its host,
   beside its keys, as `signed`; there `rumormill site join node-N signed` takes it in, and says what does not fit. The
   fingerprint that it prints of the authority is to be compared with {authority}."""

LAB_KEYS = """\
This is a lab's deployment: the private keys of all nodes were made here (`--lab-keys`), so whoever has this folder is
every node. Copy each part over a secure channel (scp): whoever has a node's folder is that node."""

MAILBOX = """\
It also starts the mailbox at {listen}, in which nodes put sealed messages for each other: it sees who writes to whom,
when and how much, keeps that in memory alone, and may be started again at any time.
"""

README = """\
# A deployment of {nodes} nodes, plane {plane}

Made by `rumormill deploy init`. Every host needs Python 3.11, 3.12 or 3.13 and the same version of the package in an
environment whose programs are on its PATH (`pip install rumormill=={version}`, or the wheel that this one was installed
from). The releases of torch and numpy have to be those of here, {releases}: nodes with others are refused by name.
Clocks must agree: SuperNodes more than 5 s ahead of the SuperLink's host, or 5 minutes behind it, are refused, and
`start.sh` says so. {data}

| what | where it goes | what it holds |
|---|---|---|
| `authority/` | nowhere: keep it offline | the key that issues certificates |
| `superlink/` | the SuperLink's host | certificates and keys of what runs there, the nodes' public keys |
| `app/`, `experiment.yaml` | with `superlink/` | the run's configuration |
| `nodes/node-N/` | node N's host{alone} | {holds}, `node.yaml`, its state |
| `nodes/node-N/code/` | with it | the code that the experiment names: read it before the node executes it |
| `site.yaml` | each host's owner writes it, outside this folder | what may leave the host |

{keys}

Neighbours' keys are taken from these folders, and never from the SuperLink. To change an address, edit `node.yaml` of
the node and of its neighbours, or `superlink/superlink.yaml`{and_mailbox}.

| who connects | to where |
|---|---|
| every node | {public}, TCP: the gateway |
{links}

## On the SuperLink's host

```sh
superlink/start.sh &
```

It starts Flower's SuperLink on loopback ({superlink}), the gateway at {listen}, and registers the nodes' keys. Flower's
control interface has no login: whoever reaches the SuperLink itself can run code on all nodes, so it must stay on
loopback, and who has a login on that host is trusted. The gateway lets through what SuperNodes ask, and nothing else.
{mailbox}What each says goes to `superlink/*.log`.

## On every node's host

{hosts}

Before that, the owner of the host lets this experiment run: `rumormill site approve node-N` says what it would send,
and with `--by NAME --until DATE` adds it to the site's policy (`/etc/rumormill/site.yaml`, or where `RUMORMILL_SITE`
says; Rumormill's documentation has an example). Without a policy the script ends.

Each starts its SuperNode again when it ends, and says whether it reaches the gateway; what the node says of its rounds
goes to `supernode.log` beside it. To have a host come back by itself after it was started anew, have its system start
`start.sh` (systemd: `ExecStart=`, `Restart=always`).

## Run

On the SuperLink's host, once the nodes are up; the app waits {join:g} s for those that are missing and names them:

```sh
export FLWR_HOME="$PWD/superlink/home" {quiet}
rumormill deploy status .                        # which nodes are up, and what runs
flwr run app {connection} --format json          # prints run-id; accepted is not finished
flwr ls {connection} --run-id RUN_ID --format json   # status: finished:completed is the only success
flwr log RUN_ID {connection} --stream            # who is there, how far the nodes are
flwr stop RUN_ID {connection}                    # nodes break off within seconds, and keep what is done
```

A node that is away is gone on without where the experiment's parts bear it, and the log says at the end who took part
in how many rounds. The same run submitted again goes on where the nodes stopped; for a new one change `run` in
`app/pyproject.toml` (at most 32 letters, digits, - and _). One run at a time.

## Keys that end, change, or must not count any more

A certificate lasts a year: nodes and `rumormill deploy status` say so {days} days before. On node N's host,
`rumormill site renew node-N` makes a new key beside the old one, and `node-N/renewed/request.csr`; sign it with
`--renew`, and join it, as at the beginning. `deploy sign` says which files others need (for a new certificate key:
none). A node reads its keys at the beginning of a phase, so a run goes on. With `--all` the keys for sealing and of the
SuperNode change, too: between two runs, and start `start.sh` again. Where a policy pins keys (`peers.pinned`), let it
hold the old and the new one meanwhile.

`rumormill deploy revoke . node-N` ends all certificates of a node, and says where the new `revoked.crl` has to go. A
node that has it turns node N away, as server and as client, from its next phase on (at most `phase` rounds or
`phase_timeout` seconds later; end a run with `flwr stop` to have it at once), and goes on without it where the
experiment's parts bear it; the SuperLink's host forgets its key within {look:g} s of `superlink/supernodes/node-N.pub`
being gone there. What the node has received before, it has; hosts that do not get the list go on to believe it. A node
whose keys were stolen makes all of them anew (`site renew node-N --all`), and is signed again.

## Collect

Bring the folders `nodes/node-N/report` together under this folder (`state` stays on its host), on a machine that has
the data that are not a node's own, and make a run directory like any other of them:

```sh
rumormill deploy collect . --out runs
```

A node whose host never comes back is left out with `--without node-N`: nothing of what it did is in the run then, the
report says so, and audits refuse it.
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


def readme(
    manifest: RunManifest, addresses: Addresses, authority: str, own_data: bool = False, lab_keys: bool = True
) -> str:
    """What to type on which host.

    Args:
        manifest: of the run.
        addresses: of everything.
        authority: the fingerprint of its certificate.
        own_data: whether each node's own host has its data, and no other has.
        lab_keys: whether all private keys were made with this folder.
    """
    nodes = list(enumerate(addresses.nodes))
    heard = manifest.plane == "p2p"  # by neighbours that connect to them
    at = [_reached(address) if heard else "" for address in addresses.nodes]
    hosts = "\n".join(f"* node {node}{at[node]}: `node-{node}/start.sh`" for node, _ in nodes)
    links = "\n".join(_link(node, address) for node, address in nodes)
    return README.format(
        nodes=manifest.nodes,
        plane=manifest.plane,
        version=manifest.version,
        join=manifest.join_timeout,
        public=addresses.public,
        superlink=addresses.superlink,
        listen=addresses.listen,
        links=links if heard else f"| every node | {addresses.mailbox}, TCP: the mailbox |",
        and_mailbox=", or `superlink/mailbox.yaml`" if addresses.mailbox else "",
        mailbox=MAILBOX.format(listen=addresses.mailbox_listen) if addresses.mailbox else "",
        hosts=hosts,
        data=OWN_DATA if own_data else SHARED_DATA,
        keys=LAB_KEYS if lab_keys else SITE_KEYS.format(authority=authority),
        alone=", nobody else's" if lab_keys else "",
        holds="its certificate and keys" if lab_keys else "its certificate, and those of its neighbours",
        days=WARNING.days,
        look=LOOK,
        releases=", ".join(f"{name} {parsed(manifest.versions).get(name, '')}" for name in RELEASES),
        quiet=" ".join(f"{name}={value}" for name, value in QUIET.items()),
        connection=CONNECTION,
    )


def _link(node: int, address: str) -> str:
    if address == NOWHERE:
        return f"| nobody | to node {node}, which connects to its neighbours |"
    return f"| the neighbours of node {node} | {address}, TCP |"


def _reached(address: str) -> str:
    return ", which cannot be reached" if address == NOWHERE else f", {address}"
