"""A deployment over network namespaces, each with an address of its own, as hosts have: ``-m netns -n 0``, as root.

Four hosts of nodes and one of the SuperLink, on a bridge; of the machine's own network nothing is touched.
"""

import re
import shutil
import sys
import time

import pytest
from reference.experiments import results, small
from reference.namespaces import LINK, Deployed, until

from simulator import Run, load_experiment, run

pytestmark = [pytest.mark.netns, pytest.mark.flower, pytest.mark.slow]


def deployed(hosts, experiment):
    """A deployment of ``experiment``, under policies of labs."""
    (hosts[0].folder / "experiment.yaml").write_text(experiment.to_yaml())
    return Deployed(hosts, experiment.rounds)


def test_four_hosts_give_the_bytes_of_local_and_none_of_them_lets_another_one_submit(hosts, tmp_path):
    """`deploy init`, copied to the hosts, started, run and collected; a node's host asks for what it must not."""
    there = deployed(hosts, small(rounds=6))
    stranger = there.nodes[0]
    (stranger.folder / "config.toml").write_text(
        f'[superlink.x]\naddress = "{LINK}:9443"\nroot-certificates = "{stranger.folder}/node-0/ca.crt"\n'
    )
    shutil.copytree(there.made / "app", stranger.folder / "app")
    assert "404 Not Found" in stranger.run(f"FLWR_HOME={stranger.folder} flwr run app x --format json")
    connect = f"import socket; socket.create_connection(('{LINK}', 9444), 10)"
    assert "Connection refused" in stranger.run(f'{sys.executable} -c "{connect}"')  # the SuperLink itself

    there.submit()
    ended, said = there.end()
    assert ended == "finished:completed", said
    assert "cannot take part" not in said
    assert there.link.run("rumormill deploy status made").count("online") == 4
    path = there.collect()
    own = run(load_experiment(str(there.link.folder / "experiment.yaml")), tmp_path / "local")
    assert results(path) == results(own.path)


def test_a_host_that_loses_power_is_gone_on_without_and_comes_back(hosts, tmp_path):
    """It sits out what it has missed, and everybody says so."""
    rounds, phase = 600, {"name": "flower", "phase": 200, "round_timeout": 5.0, "join_timeout": 90.0}
    there = deployed(hosts, small(rounds=rounds, evaluate={"every": 200}, backend=phase))
    there.submit()
    states = there.nodes[3].folder / "node-3"
    until(lambda: len(list(states.rglob("*-absorb.safetensors"))) > 30, there.deadline, 0.1)
    there.nodes[3].kill()
    time.sleep(10)
    there.start(there.nodes[3], "node-3")
    ended, said = there.end()
    assert ended == "finished:completed", said
    assert "node 3 is away" in said
    assert "node 3 is back" in said
    missed = rounds - int(re.search(rf"node 3 took part in (\d+) of {rounds} rounds", said)[1])
    done = Run.open(there.collect())
    away = [metric.round for metric in done.metrics() if metric.name == "away"]
    assert 0 < len(away) == missed
    sent = {message["round"] for message in done.directory.messages() if message["sender"] == 3}
    assert not sent & set(away)
    assert "Who took part" in (done.path / "report.html").read_text()
