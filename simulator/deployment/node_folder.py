"""A node's own folder: what it is told of the deployment, its keys, and what it needs to take part in a run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.core.errors import InputError, wrong
from simulator.core.paths import located
from simulator.core.plain_yaml import read_yaml
from simulator.deployment.files import EXPERIMENT, read, read_secret
from simulator.deployment.run_manifest import RunManifest, fingerprint, own_version
from simulator.deployment.versions import own_versions, parsed, refused

if TYPE_CHECKING:
    from simulator.config.experiment import Experiment
    from simulator.core.place import Place
    from simulator.core.secrets import Secrets
    from simulator.data.sites.statistics import Statistics
    from simulator.data.sites.sums import Sums
    from simulator.deployment.carried import CarriedNode
    from simulator.deployment.keys.certificate import Certificate
    from simulator.deployment.open_settings import OpenSettings
    from simulator.deployment.site.gate import Gate
    from simulator.deployment.transport.peer import Peer
    from simulator.deployment.transport.saved_rounds import SavedRounds
    from simulator.runs.build import Simulation
    from topologies import Links


STATES, LAID_OUT = "state", "report"  # of its folder: what stays with the node, and what may be collected
ERRORS = "errors.log"  # there, too: what has gone wrong, in words that stay at the site
LEFT = "left.json"  # of a state: who has left the run, after which round
OWN_DATA = "data.txt"  # of a state: what tells the site's own data from any other
STATE = re.compile(r"state-([0-9]{6,9})\.safetensors")  # as `SavedRounds` names them, which is slow to import


@dataclass(frozen=True)
class NodeFolder:
    """What ``node.yaml`` says.

    Attributes:
        folder: where it stands, with the experiment and the node's keys; the node's state goes below ``state/``, what
            may be collected below ``report/``.
        node: the node's number.
        listen: the address at which neighbours can fetch messages, or "none": it connects to all of them itself.
        neighbours: their addresses, likewise.
        data: where nodes are sites, "path": of the node's own data; None where all hosts have all data.
        superlink: where the node reaches the SuperLink, as "host:port".
        runtime: the port, on loopback, of its SuperNode's own processes.
        mailbox: of the plane relay, where the node puts its messages and fetches others', as "host:port".
        socket: in the folder of a SuperNode alone: where it reaches the site's own process, which has all else.
        co_senders: nodes that are no neighbours, and with which it masks what both send to one that is.
    """

    folder: Path
    node: int
    listen: str
    neighbours: Mapping[int, str]
    data: Mapping[str, Any] | None = None
    superlink: str = ""
    runtime: int = 0
    mailbox: str = ""
    socket: str = ""
    co_senders: Sequence[int] = ()

    @classmethod
    def read(cls, folder: Path) -> NodeFolder:
        """From ``folder``.

        Raises:
            InputError: it is no node's folder.
        """
        try:
            content = read_yaml((folder / "node.yaml").read_text(encoding="utf-8"), "node.yaml").content
            others = {int(node): address for node, address in content["neighbours"].items()}
            return cls(folder, **{**content, "neighbours": others})
        except (OSError, AttributeError, KeyError, TypeError, ValueError, InputError) as error:
            what = f"is not the folder of a node: {error}."
            raise wrong(str(folder), what, "Give a folder nodes/node-N that `rumormill deploy init` made.") from error

    def introduction(self, run: str) -> dict[str, Any]:
        """What the node tells the ServerApp of itself.

        So many rounds of ``run`` are on its disk, these versions on its host, and its certificate ends on that day.

        Raises:
            InputError: its certificate is not there.
        """
        from simulator.deployment.keys.certificate import Certificate

        return {
            "node": self.node,
            "fingerprint": self._fingerprint,
            "version": own_version(),
            "versions": own_versions(),
            "rounds": finished_rounds(self.state(run)),
            "certified_until": f"{Certificate.read(self.folder / 'node.crt').ends:%Y-%m-%d}",
        }

    def check(self, manifest: RunManifest) -> None:
        """Refuse a run of another experiment, or planned with versions of which this host has others.

        Raises:
            InputError: it is one.
        """
        if manifest.fingerprint != self._fingerprint:
            what = f"is not the experiment of this run, as node {self.node} sees it."
            raise wrong(str(self.folder / EXPERIMENT), what, "Give every node the same deployment's folder.")
        if manifest.version != own_version():
            what = f"node {self.node} has rumormill {own_version()}, and the run wants {manifest.version}."
            raise wrong("version", what, "Install the same version everywhere.")
        if why := refused(parsed(own_versions()), parsed(manifest.versions)):
            raise wrong("versions", f"node {self.node} {why}.", "Install the same release everywhere.")

    @property
    def _fingerprint(self) -> str:
        return fingerprint((self.folder / EXPERIMENT).read_bytes())

    def state(self, run: str) -> Path:
        """Where the node keeps what it must not forget of ``run``."""
        return self.folder / STATES / run

    def laid_out(self, run: str) -> Path:
        """Where the node lays out what may be collected of ``run``."""
        return self.folder / LAID_OUT / run

    def certificates(self) -> dict[int, Certificate]:
        """The certificates of neighbours and co-senders, as this folder has them.

        Raises:
            InputError: one is not there, or none of the deployment's authority.
        """
        from simulator.deployment.transport.certificates import ADVICE, NEIGHBOURS, known_neighbours, name_of

        known = known_neighbours(self.folder, read(self.folder / "ca.crt", ADVICE))
        wanted = sorted({*self.neighbours, *self.co_senders})
        if missing := ", ".join(name_of(node) for node in wanted if node not in known):
            what = f"holds no certificate of {missing}, which the organiser may not have signed yet."
            raise wrong(str(self.folder / NEIGHBOURS), what, "Ask for them: `rumormill deploy sign` says what to send.")
        return {node: known[node] for node in wanted}

    @cached_property
    def known_keys(self) -> dict[int, bytes]:
        """The public keys for sealing that the `certificates` hold, by node."""
        return {node: known.sealing or b"" for node, known in self.certificates().items()}

    @property
    def public_keys(self) -> dict[int, bytes]:
        """Those of the neighbours."""
        return {node: self.known_keys[node] for node in self.neighbours}

    @property
    def keys(self) -> dict[int, str]:
        """The same as hexadecimal numbers."""
        return {node: key.hex() for node, key in self.public_keys.items()}

    def private_key(self) -> bytes:
        """The node's, for sealing, and for what its noise is drawn from.

        Raises:
            InputError: it is not there, or others than its owner can read it.
        """
        from simulator.deployment.keys.private import ADVICE, SEALING

        return read_secret(self.folder / SEALING, ADVICE)

    def departure(self, run: str) -> int | None:
        """After which round the node has left ``run`` in order; None where it has not."""
        file = self.state(run) / LEFT
        return json.loads(file.read_text()).get(str(self.node)) if file.exists() else None

    def memory(self, run: str) -> SavedRounds:
        """What the node has on its disk of ``run``."""
        from simulator.deployment.transport.saved_rounds import SavedRounds

        return SavedRounds.of(self.folder, run)

    def peer(self, manifest: RunManifest, gate: Gate) -> Peer:
        """The node of a run, at its beginning; it may be one that has begun, so let it resume.

        Args:
            manifest: of the run.
            gate: what lets out what the node has to say.

        Raises:
            InputError: the data or the node's key is not there, the data are others than the run is of or was begun
                with, or the node cannot be made.
        """
        from simulator.core.place import Places
        from simulator.deployment.transport.departures import Departures
        from simulator.deployment.transport.peer import Peer

        carried = self._carried(manifest, self._agreed(manifest))
        if not self._has_own_data(carried, manifest.run):
            what = f"the data of node {self.node} have changed since it has begun this run."
            raise wrong(str(self.data_path()), what, "Put them back, or make the deployment anew for a new run.")
        settings, memory = self.settings(), self.memory(manifest.run)
        network, departures = settings.network, Departures(memory.departures)

        @lru_cache(maxsize=1)  # most networks are the same in all rounds
        def among(links: Links) -> Place:
            return Places(links)[self.node]

        def stands(round: int) -> Place:
            return among(departures.applied(network.at(round), round))

        return Peer(self.node, carried, memory, gate, settings.due, stands, departures)

    def admitted(self, manifest: RunManifest, gate: Gate) -> Sums:
        """What the node has to say of its own samples before round 1, once the ``gate`` has let it take part.

        Raises:
            InputError: as `peer` does.
            Declined: the site does not let out what the node would send in the run.
        """
        carried = self._carried(manifest)
        self._has_own_data(carried, manifest.run)  # else what it would say is held against what it has said
        gate.admit(carried)
        assert carried.sums is not None  # statistics are to be agreed on
        return carried.sums

    def settings(self) -> OpenSettings:
        """What of the experiment has to be known to take the node through its rounds."""
        from simulator.deployment.open_settings import OpenSettings

        return OpenSettings.of(self.experiment())

    def carried(self, run: str, statistics: Statistics | None = None) -> CarriedNode:
        """The node of a run at its beginning, in this process, which executes the experiment's code.

        Args:
            run: of the deployment.
            statistics: what the nodes have agreed on, where they do.

        Raises:
            InputError: the data or the node's key is not there, or the node cannot be made.
        """
        from simulator.deployment.carried import CarriedHere
        from simulator.runs.build import protects

        simulation = self._simulation(statistics)
        secrets = self.secrets(run) if protects(simulation.experiment) else None
        return CarriedHere.of(simulation, self.node, self.neighbours, secrets)

    def _carried(self, manifest: RunManifest, statistics: Statistics | None = None) -> CarriedNode:
        carried = self.carried(manifest.run, statistics)
        if carried.shared != manifest.shared:
            raise other_samples(f"node {self.node}", self.settings().shared_names)
        return carried

    def _agreed(self, manifest: RunManifest) -> Statistics | None:
        """What the nodes of a run have agreed on, where they do.

        Raises:
            InputError: they have not, as far as this node knows, or the file is damaged.
        """
        from simulator.core.report import STATISTICS
        from simulator.data.sites.statistics import Statistics

        sites = self.settings().sites
        if sites is None or sites.statistics is None:
            return None
        file = self.state(manifest.run) / STATISTICS
        if not file.exists():
            what = f"node {self.node} has not agreed with the others on statistics, and cannot prepare its samples."
            raise wrong(str(file), what, "Submit the run again: it begins with that.")
        return Statistics.read(file)

    def _has_own_data(self, carried: CarriedNode, run: str) -> bool:
        """Whether a site's data are those that it has begun ``run`` with; until it has, they may change."""
        from simulator.core import atomic
        from simulator.core.report import STATISTICS

        state, now = self.state(run), carried.content
        if now is None:
            return True
        if finished_rounds(state) or (state / STATISTICS).exists():
            return (state / OWN_DATA).read_text() == now
        state.mkdir(parents=True, exist_ok=True)
        atomic.write(state / OWN_DATA, now)
        return True

    def _simulation(self, statistics: Statistics | None = None) -> Simulation:
        """What the node is made of; where nodes are sites, of its own data, and without a look at any others."""
        from simulator.runs.build import Simulation

        experiment = self.experiment()
        if experiment.data.sites is None:
            return Simulation.of(experiment)
        return Simulation.of(experiment, opened={self.node: self.data_path()}, statistics=statistics)

    def data_path(self) -> Path:
        """Where the node's own data lie, absolute or from its folder on; nothing is opened.

        Raises:
            InputError: ``node.yaml`` does not say so, or it cannot be a path.
        """
        given = (self.data or {}).get("path")
        where = f"{self.folder / 'node.yaml'}: data.path"
        if not isinstance(given, str) or not given:
            what = "is not filled in, and this node's data are nowhere else."
            raise wrong(where, what, "Write where they lie on this host: data: {path: /srv/data/site.csv}.")
        return located(Path(given), self.folder, where)

    def noise_secret(self, run: str) -> int:
        """What the noise is drawn from that protects the node alone; another number for every run."""
        return self.secrets(run).own

    def secrets(self, run: str) -> Secrets:
        """What the node's noise and masks are drawn from in a ``run``; its key does not follow from that."""
        from simulator.deployment.transport.noise import noise_secrets

        return noise_secrets(run, self.node, self.private_key(), self.known_keys)

    def experiment(self) -> Experiment:
        """The experiment, as the node's own file has it."""
        from simulator.config.parsing import load_experiment

        return load_experiment(self.folder / EXPERIMENT, recorded=True)


def other_samples(whose: str, names: str) -> InputError:
    """That somebody has other samples than the run was planned with, of those that all hosts must have alike.

    Args:
        whose: what to call them: "node 3".
        names: of these samples.
    """
    what = f"its data are not those that the run was planned with: {names}."
    return wrong(whose, what, "Put the files that `rumormill deploy init` read at the paths in experiment.yaml.")


def finished_rounds(state: Path) -> int:
    """How many rounds a node has finished that keeps its state in ``state``; 0 where it has not begun."""
    found = (STATE.fullmatch(file.name) for file in state.glob("state-*.safetensors"))
    return max((int(match[1]) for match in found if match), default=0)


def reported_rounds(report: Path) -> int:
    """How many rounds a node has laid out for collecting in ``report``."""
    return len(list(report.glob("*-absorb.safetensors")))
