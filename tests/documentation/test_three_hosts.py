"""The tutorial on three hosts, followed to the letter on one machine: ``-m flower -n 0``.

Each host is a folder with a shell of its own, and all are on loopback. What is written and typed is read from the page;
what one machine cannot have as it stands there is in `IN_PLACE_OF`, and what two hosts do likewise in `OF_OTHERS`.
"""

import re
import shlex
import shutil
import time

import pytest
import torch
from reference.deployment import free_ports
from reference.follower import ON_HOST, send
from reference.markdown import page
from reference.shell import Shell

from simulator import Run, load_experiment, run

pytestmark = [pytest.mark.flower, pytest.mark.slow, pytest.mark.exhaustive]

PATIENCE = 900  # seconds for the whole page, on a machine that is busy
PORTS = free_ports(8)  # of the gateway, of the SuperLink behind it, and two of each node
IN_PLACE_OF = {
    "organiser.example:9443": f"127.0.0.1:{PORTS[0]}",
    "--host berlin.example": f"--port {PORTS[2]} --host 127.0.0.1",
    "lyon.example": "127.0.0.1",
    "oslo.example": "127.0.0.1",
    "/srv/readmissions.csv": "{folder}/readmissions.csv",
    "/var/log/rumormill": "{folder}",
}
OF_OTHERS = {  # what these have in place of berlin's
    "lyon": {"berlin": "lyon", "node-0": "node-1", "[node-1]": "[node-0, node-2]"},
    "oslo": {"berlin": "oslo", "node-0": "node-2"},
}
LIKEWISE = "likewise on lyon and oslo"
DONE = "and that was all"
UNTIL = {"rumormill deploy status .": ("online", 3)}  # typed again until it says this so often


class Host(Shell):
    """A folder in which lines are typed."""

    def __init__(self, folder, words, deadline):
        super().__init__(folder)
        self.words, self.deadline, self.known, self.exported = IN_PLACE_OF | words, deadline, {}, ""
        folder.mkdir(exist_ok=True)
        self.environment["HOME"] = str(folder)
        self.environment |= {"FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_TELEMETRY_ENABLED": "0"}

    def put(self, text):
        """What the reader here writes for ``text``."""
        words = self.words | self.known
        written = re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text)
        return written.replace("{folder}", str(self.folder))

    def type(self, line, place):
        """Type ``line`` of the page in the folder ``place`` of this host; what it says."""
        here, typed = f"cd {self.folder / place}", self.put(line)
        if typed.startswith("scp "):
            send(shlex.split(typed), self.folder, self.folder.parent)
            return ""
        if typed.endswith("&"):
            self.start(f"{here}; {typed.removesuffix('&')}")
            return ""
        if typed.startswith("export "):
            self.exported += f"{here}\n{typed}\n"
            return ""
        word, times = UNTIL.get(line, (DONE, 1))
        while (said := self.run(f"{self.exported}{here}\n{typed}; echo {DONE} >&2")).count(word) < times:
            assert word != DONE, f"{typed}\n{said}"
            assert time.monotonic() < self.deadline, f"{typed}\n{said}"
            time.sleep(3)
        if number := re.search(r'"run-id": "(\d+)"', said):
            self.known["RUN_ID"] = number[1]
        return said


@pytest.fixture
def hosts(tmp_path):
    """By name, the organiser's and those of the sites, each of which has its own patients alone."""
    pytest.importorskip("pandas")
    deadline = time.monotonic() + PATIENCE
    found = {name: Host(tmp_path / name, OF_OTHERS.get(name, {}), deadline) for name in ("organiser", "berlin")}
    found |= {name: Host(tmp_path / name, words, deadline) for name, words in OF_OTHERS.items()}
    (tmp_path / "make_sites.py").write_text(page("docs/tutorials/bring-your-data.md").of("python")[0].text)
    found["organiser"].run(f"cd {tmp_path}; python make_sites.py")
    for name, host in found.items():
        if name != "organiser":
            shutil.copy(tmp_path / "hospitals" / f"{name}.csv", host.folder / "readmissions.csv")
    yield found
    left = {name: host.end() for name, host in found.items()}
    assert not any(left.values()), left


def follow(hosts):
    """Write and type all that the page says; what each host's shell has said, in order."""
    said = []
    for block in page("docs/tutorials/deploy-on-three-hosts.md").blocks:
        if block.file:
            name, _, file = block.file.partition("/")
            for host in (name, *(OF_OTHERS if name == "berlin" else ())):
                (hosts[host].folder / file).write_text(hosts[host].put(block.text))
        elif block.language == "sh":
            first = block.text.partition("\n")[0]
            on, place = ON_HOST.match(first), re.search(r", in (\w+)$", first)
            for host in (on[1] if on else "organiser", *(OF_OTHERS if LIKEWISE in first else ())):
                lines = block.text.splitlines()[1 if on else 0 :]
                said += [(host, line, hosts[host].type(line, place[1] if place else "")) for line in lines]
    return said


def test_three_hosts_give_the_parameters_of_the_simulation(hosts, tmp_path):
    said = follow(hosts)
    of = {(host, line): text for host, line, text in said}
    assert not list((tmp_path / "organiser").rglob("node.key")), "keys are made on the hosts"
    for host in ("berlin", "lyon", "oslo"):
        assert "It can take part." in of[host, "rumormill site check node-0"]
        assert (hosts[host].folder / "ledger.jsonl").exists()
    assert "all nodes have finished 40 of 40 rounds" in of["organiser", "flwr log RUN_ID deployment --stream"]
    collected = of["organiser", "rumormill deploy collect clinic --out runs"].partition("\n")[0]
    done = Run.open(tmp_path / "organiser" / collected)
    assert (done.path / "report.html").exists()
    experiment = load_experiment(str(tmp_path / "organiser" / "hospitals.yaml"), [f"data.root={tmp_path}"])
    assert torch.equal(done.models(40), run(experiment, tmp_path / "simulated").models(40))
