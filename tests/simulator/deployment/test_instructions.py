"""The README that `rumormill deploy init` writes, followed to the letter on one machine: ``-m flower -n 0``."""

import re
import time
from dataclasses import replace

import pytest
import yaml
from reference.deployment import free_addresses
from reference.experiments import results, small
from reference.shell import Shell

from simulator import run
from simulator.deployment.collect import collect
from simulator.deployment.folder import write_folder
from simulator.deployment.instructions import CONNECTION, connection
from simulator.deployment.local import loopback
from simulator.deployment.plan import deployable, plan
from simulator.deployment.site.lab import lab_policy
from simulator.deployment.site.policy_file import VARIABLE

PATIENCE = 600  # seconds for the whole run


@pytest.fixture
def shell(tmp_path):
    shell = Shell(tmp_path / "deployment")
    yield shell
    assert shell.end() == []


def approved(shell, node, path):
    """The policy of a node's site, which allows all but experiments, and in which this one has been approved."""
    folder = path / "sites" / node
    folder.mkdir(parents=True)
    policy = yaml.safe_load(lab_policy(node, "", 1, folder / "ledger.jsonl")) | {"experiments": []}
    (folder / "site.yaml").write_text(yaml.safe_dump(policy))
    said = shell.run(f"rumormill site approve nodes/{node} --by dpo --until 2999-01-01 --policy {folder}/site.yaml")
    assert "Approved by dpo" in said
    return folder / "site.yaml"


def behind_a_gateway(nodes):
    """As `loopback`, and a port more, for the gateway."""
    (public,) = free_addresses(1)
    return replace(loopback(nodes), public=public, listen=public)


@pytest.mark.flower
@pytest.mark.slow
def test_following_the_readme_gives_the_bytes_of_local_and_lets_no_nodes_host_in(shell, tmp_path):
    ready, addresses = plan(deployable(small(rounds=4))), behind_a_gateway(4)
    write_folder(shell.folder, ready.experiment, ready.manifest, ready.topology, addresses)
    text = (shell.folder / "README.md").read_text()
    (serve, start) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[:2]
    connect, *commands = [line.partition("#")[0] for line in start.strip().splitlines()]
    deadline = time.monotonic() + PATIENCE

    shell.start(shell.folder / serve.strip().removesuffix(" &"))
    for node in re.findall(r"`(node-\d+)/start.sh`", text):
        policy = approved(shell, node, tmp_path)
        shell.start(shell.folder / "nodes" / node / "start.sh", **{VARIABLE: str(policy)})
    while (said := shell.run(f"{connect}\n{commands[0]} || true")).count("online") < 4:
        assert time.monotonic() < deadline, said
        time.sleep(5)

    assert "404 Not Found" in shell.run(from_the_host_of(shell.folder / "nodes" / "node-0", addresses.public))
    number = re.search(r'"run-id": "(\d+)"', shell.run(f"{connect}\n{commands[1]}"))[1]
    ask = f"{connect}\n{commands[2]}".replace("RUN_ID", number)
    while '"status": "finished' not in (said := shell.run(ask)):
        assert time.monotonic() < deadline, said
        time.sleep(2)
    log = shell.run(f"{connect}\nflwr log {number} deployment --show")
    assert "finished:completed" in said, log
    assert "cannot take part" not in log

    own = run(small(rounds=4), tmp_path / "local")
    assert results(collect(shell.folder, tmp_path / "collected").path) == results(own.path)


def from_the_host_of(node, public):
    """The commands by which whoever has a node's folder would submit an app of theirs."""
    home = node.parent / "elsewhere"
    home.mkdir()
    (home / "config.toml").write_text(connection(public, str(node / "ca.crt")))
    return f"FLWR_HOME={home} flwr run app {CONNECTION} --format json"
