"""The commands ``rumormill site`` about what may leave a site, and what has."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from simulator.core.errors import wrong
from simulator.core.paths import located
from simulator.results.terminal import Terminal

if TYPE_CHECKING:
    from simulator.deployment.node_folder import NodeFolder
    from simulator.deployment.site.asked import Asked
    from simulator.deployment.site.policy import SitePolicy

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The node's, from `rumormill deploy init`.")]
Policy = Annotated[
    Path | None,
    typer.Option("--policy", help="The site's policy; default: what RUMORMILL_SITE says, or /etc/rumormill/site.yaml."),
]


def policy_command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="A node's, outside which the policy has to stand.")
    ] = None,
    policy: Policy = None,
) -> None:
    """Print what the site's policy allows, with what it forbids because it does not mention it."""
    import yaml

    from simulator.deployment.site.policy_file import policy_path, read_policy

    found = read_policy(policy or policy_path(), folder)
    print(yaml.safe_dump(found.model_dump(mode="json"), sort_keys=False), end="")


def approve_command(
    folder: Folder,
    by: Annotated[str | None, typer.Option("--by", help="Who approves it.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="The last day on which it may run: 2027-03-01.")] = None,
    as_user: Annotated[
        str | None, typer.Option("--as-user", help="The account that executes the experiment's code, and trains.")
    ] = None,
    policy: Policy = None,
) -> None:
    """Print what an experiment would send from this host; with --by and --until, approve it in the site's policy."""
    from simulator.deployment.node_folder import NodeFolder
    from simulator.deployment.site.approval import experiment_hash
    from simulator.deployment.site.approve import approve
    from simulator.deployment.site.policy import Approval
    from simulator.deployment.site.policy_file import policy_path, read_policy
    from simulator.deployment.site.words import plan_in_words

    node_folder, path = NodeFolder.read(located(folder, where="FOLDER")), policy or policy_path()
    allowed, hash = read_policy(path, node_folder.folder), experiment_hash(node_folder.folder)
    day = until and _day(until)
    with _apart(node_folder, path, as_user) as made:
        asked = made.carried("asked").asked
        _tell("", *plan_in_words(made, made.settings(), asked))
        _tell("Here the site's policy is stricter, so that the node will decline:", *_declined(allowed, made, asked))
    if by is None or not day:
        _tell("", f"Its hash is {hash}. To approve it, add --by NAME --until DATE.")
        return
    approve(path, Approval(hash=hash, approved_by=by, until=day, rounds=asked.rounds))
    _tell("", f"Approved by {by} until {day}, in {path}: {hash}.")


def _apart(folder: NodeFolder, policy: Path, as_user: str | None) -> AbstractContextManager[NodeFolder]:
    """``folder``, whose node is made here, or by another user."""
    if as_user is None:
        return nullcontext(folder)
    from simulator.deployment.confined.accounts import check_python
    from simulator.deployment.confined.started import Account, confined

    account = Account.named(as_user)
    if account.user is not None:
        check_python("--as-user", account.user)
    return confined(folder, account, policy)


def ledger_command(
    verify: Annotated[bool, typer.Option("--verify", help="Only say whether the chain is whole.")] = False,
    policy: Policy = None,
) -> None:
    """Print all that has left the site, or was declined; refuses a ledger whose chain is broken."""
    from simulator.deployment.site.ledger import verified
    from simulator.deployment.site.policy_file import policy_path, read_policy
    from simulator.deployment.site.words import table

    path = Path(read_policy(policy or policy_path()).ledger)
    lines = verified(path)
    if not verify:
        _tell("", *table(lines))
    last = f" The last one has the hash {lines[-1]['hash']}." if lines else ""
    print(f"{path}: {len(lines)} lines, and the chain is whole.{last}")


def _declined(policy: SitePolicy, folder: NodeFolder, asked: Asked) -> list[str]:
    """What the policy does not allow of all that is asked, whenever it is approved."""
    from simulator.deployment.site.admission import of_the_peers, of_the_plan
    from simulator.deployment.site.history import History, Sender
    from simulator.deployment.site.ledger import verified

    ledger, nobody = Path(policy.ledger), Sender("", folder.node)
    history = History(verified(ledger) if ledger.exists() else [])
    found = of_the_plan(policy, asked, history, nobody, datetime.now().astimezone())
    return [str(problem) for problem in (*of_the_peers(policy, folder.keys), *found)]


def _tell(heading: str, *paragraphs: str) -> None:
    for text in ([heading] if heading and paragraphs else []) + list(paragraphs):
        Terminal().print(Text(text), soft_wrap=True)


def _day(given: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise wrong("--until", f"'{given}' is no day.", "Write it as 2027-03-01.") from error
