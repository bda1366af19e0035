"""The command ``rumormill site serve``: the site's own process, apart from Flower and from the experiment's code."""

from __future__ import annotations

import os
import pwd
import signal
from pathlib import Path
from typing import Annotated

import typer

from simulator.core.errors import wrong
from simulator.core.paths import located
from simulator.deployment.site.policy_commands import Folder, Policy

SOCKETS = Path("/run/rumormill")


def serve_command(
    folder: Folder,
    as_user: Annotated[
        str | None, typer.Option("--as-user", help="The account that trains: it reads the data, and nothing else.")
    ] = None,
    same_user: Annotated[
        bool, typer.Option("--same-user", help="Train as this user, who can read keys, policy and ledger, too.")
    ] = False,
    for_user: Annotated[
        str | None, typer.Option("--for-user", help="The account of the SuperNode, whose orders are taken.")
    ] = None,
    socket: Annotated[
        Path | None, typer.Option("--socket", help="Where orders are taken; default: /run/rumormill/NODE.sock.")
    ] = None,
    supernode: Annotated[
        Path | None, typer.Option("--supernode", help="A folder to write, with what the SuperNode needs.")
    ] = None,
    policy: Policy = None,
) -> None:
    """Hold policy, ledger, keys and connections here, and train in a process that has none of them and no network.

    Flower's ClientApp hands over what it is told, by a socket. The experiment's code runs as another user, who writes
    no file and makes no socket; what it says passes the site's gate. Runs until it is told to end.
    """
    from simulator.deployment.confined.accounts import check_python
    from simulator.deployment.confined.started import Account
    from simulator.deployment.host import check_keys
    from simulator.deployment.node_folder import NodeFolder
    from simulator.deployment.site.policy_file import policy_path, read_policy
    from simulator.deployment.site.serving.listener import listening
    from simulator.deployment.site.serving.server import SiteProcess
    from simulator.deployment.site.serving.supernode_folder import write_supernode_folder
    from simulator.deployment.transport.certificates import name_of

    node = NodeFolder.read(located(folder, where="FOLDER"))
    if (as_user is None) == (not same_user):
        what = "it has to be said whom the experiment's code runs as, and once."
        raise wrong("--as-user", what, "Give --as-user NAME; or --same-user, which keeps less apart.")
    account, client = Account.same() if as_user is None else Account.named(as_user), _number(for_user)
    if client == account.user:
        what = "the SuperNode executes what strangers submit, and would have the data where it trains as the same user."
        raise wrong("--for-user", what, "Name two accounts.")
    if account.user is not None:
        check_python("--as-user", account.user)
    allowed, path = policy or policy_path(), socket or SOCKETS / f"{name_of(node.node)}.sock"
    read_policy(allowed, node.folder)
    check_keys(node)
    if supernode is not None:
        check_python("--for-user", client)
        write_supernode_folder(located(supernode, where="--supernode"), node.folder, path.absolute(), client)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with listening(path.absolute(), client) as listener:
        print(
            f"node {node.node}: orders are taken at {path}, and training is done as {_named(account.user)}", flush=True
        )
        SiteProcess(node, allowed, account, client).serve(listener)


def _number(name: str | None) -> int:
    if name is None:
        return os.geteuid()
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise wrong("--for-user", f"this host has no account '{name}'.", "Name that of the SuperNode.") from error


def _named(user: int | None) -> str:
    return "this user, who can read all that it can" if user is None else pwd.getpwuid(user).pw_name
