"""Sites over network namespaces, each with its data alone, from the schema to the audit: ``-m netns -n 0``, as root.

What a site's owner and the organiser type is what the documentation and the deployment's own instructions say.
"""

import json
from collections import Counter

import pytest
import torch
import yaml
from reference.capture import captured, streams
from reference.namespaces import LINK, Deployed
from reference.sites import SIZES, content_of, example_rows, rows_of, write_sites, write_table
from reference.traces import encoded, found_in, traces

from simulator import Run, audit, load_experiment, run

pytestmark = [pytest.mark.netns, pytest.mark.flower, pytest.mark.slow]

CLEAR = 9999  # the port to which rows are sent in the clear, to see that they would be found
POLICY = """\
# Of the administrator of this site.
version: 1
site: {site}
ledger: {folder}/ledger.jsonl
versions: any
messages: {{parts: [parameters], max_bytes: 4000, max_norm: 50.0}}
privacy: {{mechanism: none, unit: sample, max_epsilon: unlimited, delta: unlimited}}
metrics: {{leave: [test/accuracy, test/loss, train/loss], min_count: 4, round_to: 3}}
sharing: {{models: true}}
peers: {{allow: {peers}, pinned: any}}
limits: {{rounds_per_day: 50, hours: always}}
"""
SINK = """
import socket
server = socket.create_server(({link!r}, {port}))
connection, _ = server.accept()
while connection.recv(1 << 16):
    pass
"""
SEND = """
import pathlib, socket, time
for _ in range(60):
    try:
        connection = socket.create_connection(({link!r}, {port}), 10)
        break
    except OSError:
        time.sleep(1)
connection.sendall(pathlib.Path("clear").read_bytes())
connection.close()
"""


class Sites(Deployed):
    """Every node has data of its own on its host, which its owner checks, and approves what is to be done with them."""

    def allowed(self, node, host):
        site, own, settings = list(SIZES)[node], host.folder / "data", host.folder / f"node-{node}" / "node.yaml"
        own.mkdir(mode=0o700)
        table = write_table(own / "own.csv", rows_of(site))
        settings.write_text(yaml.safe_dump(yaml.safe_load(settings.read_text()) | {"data": {"path": str(table)}}))
        said = host.run(f"rumormill site check node-{node}")
        assert "It can take part." in said, said
        return self.approved(node, host, site)

    def approved(self, node, host, site):
        policy = host.folder / "site" / "site.yaml"
        policy.parent.mkdir(mode=0o700)
        peers = json.dumps([f"node-{(node + step) % len(SIZES)}" for step in (-1, 1)])
        policy.write_text(POLICY.format(site=site, folder=policy.parent, peers=peers))
        policy.chmod(0o600)
        said = host.run(f"rumormill site approve node-{node} --policy {policy} --by dpo --until 2999-12-31")
        assert "Approved by dpo" in said, said
        assert "stricter" not in said, said
        return policy


def write_experiment(hub):
    """What the organiser writes, with nobody's data: the number of rounds."""
    write_table(hub.folder / "example.csv", example_rows())
    said = hub.run("rumormill site schema example.csv target=outcome group=patient missing=impute > schema.yaml")
    content = content_of("hospitals")
    content["data"]["sites"]["data_schema"] = "schema.yaml"
    (hub.folder / "experiment.yaml").write_text(yaml.safe_dump(content))
    assert (hub.folder / "schema.yaml").read_text().count("mean: ") == 2, said
    return content["rounds"]


def see_no_others(nodes):
    """Nobody can open another's file."""
    for host in nodes:
        others = [f"cat {other.folder}/data/own.csv" for other in nodes if other is not host]
        said = host.run("; ".join(others))
        assert said.count("No such file or directory") == len(others), said


def hold_no_others(hosts, secret):
    """No host holds, in any file, what stands in another's data."""
    for owner, traces_of in enumerate(secret.values()):
        for host in (each for number, each in enumerate(hosts) if number != owner + 1):
            held = b"".join(file.read_bytes() for file in host.folder.rglob("*") if file.is_file())
            assert not found_in(held, traces_of), (owner, host.name)


def send_in_the_clear(hub, host, columns):
    """What a broken program would."""
    tables = b"".join(table.tobytes() for table in encoded(rows_of("berlin"), columns))
    (host.folder / "clear").write_bytes((host.folder / "data" / "own.csv").read_bytes() + tables)
    (hub.folder / "sink.py").write_text(SINK.format(link=LINK, port=CLEAR))
    (host.folder / "send.py").write_text(SEND.format(link=LINK, port=CLEAR))
    hub.start("python", "sink.py")
    said = host.run("python send.py")
    assert not said, said


def check_wire(file, hosts, done, secret):
    """All messages of the run ``done`` went over it, and no row, but those that were sent in the clear."""
    flows, others = streams(file)
    clear = b"".join(payload for flow, payload in flows.items() if CLEAR in flow)
    everything = set().union(*secret.values())
    assert found_in(clear, everything) == secret["berlin"]
    assert not found_in(b"".join(payload for flow, payload in flows.items() if CLEAR not in flow) + others, everything)
    carried, sent = Counter(), Counter()
    for (source, _, target, _), payload in flows.items():
        carried[source, target] += len(payload)
    for message in done.directory.messages():
        sent[hosts[message["sender"]].address, hosts[message["receiver"]].address] += message["wire"]
    assert len(sent) == 8
    assert all(carried[link] > size for link, size in sent.items())


def test_sites_with_data_of_their_own_give_the_parameters_of_their_simulation_and_show_no_row(hosts, tmp_path):
    """Each host has its own file alone. All that goes over the bridge, and all that others have at the end, is searched
    for what stands in it; the same search finds what is sent in the clear."""
    hub, *nodes = hosts
    rounds = write_experiment(hub)
    changes = [f"data.dataset.path={write_sites(tmp_path / 'hospitals')}"]
    with captured(hub.name, tmp_path / "wire"):
        there = Sites(hosts, rounds)
        see_no_others(nodes)
        there.submit()
        ended, said = there.end()
        assert ended == "finished:completed", said
        experiment = load_experiment(str(hub.folder / "experiment.yaml"), changes)
        columns = experiment.data.sites.data_schema.columns
        secret = {site: traces(rows_of(site), columns) for site in SIZES}
        done = Run.open(there.collect())
        hold_no_others(hosts, secret)
        send_in_the_clear(hub, nodes[0], columns)
    check_wire(tmp_path / "wire", nodes, done, secret)

    simulated = run(experiment, tmp_path / "local")
    assert torch.equal(done.models(rounds), simulated.models(rounds))
    assert list(done.directory.messages()) == list(simulated.directory.messages())
    assert "report.html" in hub.run(f"rumormill report {done.path}")
    assert "collected from sites" in hub.run(f"rumormill audit {done.path}")  # where nobody has the samples
    assert "plan-audit" in hub.run("rumormill audit ./experiment.yaml --audit reconstruction")
    assert audit(simulated, "membership", signals=["loss"]).result()
