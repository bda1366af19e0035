"""Sites on hosts of their own, each with its data in a folder of its own, and what they open."""

import sys
import threading

import pytest
import yaml
from reference.confined import everybodys, nobody  # noqa: F401  # fixtures
from reference.deployment import Deployment, OneAtATime
from reference.sites import SIZES


class Opened:
    """The files that each node opens while it is made; an audit hook cannot be taken away, so there is one."""

    node: int | None = None
    by_node: dict[int, set[str]] = {}  # noqa: RUF012  # shared on purpose

    @classmethod
    def see(cls, event, arguments):
        if event == "open" and cls.node is not None and threading.current_thread().name != "MainThread":
            cls.by_node.setdefault(cls.node, set()).add(str(arguments[0]))


sys.addaudithook(Opened.see)


class Watched(OneAtATime):
    def peer(self, manifest, gate):
        return self._watched(super(OneAtATime, self).peer, manifest, gate)

    def admitted(self, manifest, gate):
        return self._watched(super(OneAtATime, self).admitted, manifest, gate)

    def _watched(self, make, *given):
        with Watched.lock:
            Opened.node = self.node
            try:
                return make(*given)
            finally:
                Opened.node = None


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """A deployment in which each host's data lie in a folder of its own, and the simulation's are gone."""

    def deployed(experiment, folder, ending="csv", **settings):
        deployment = Deployment(experiment, tmp_path, **settings)
        for node, name in enumerate(SIZES):
            file = deployment.node_folder(node).folder / "node.yaml"
            own = tmp_path / f"host-{node}" / f"{name}.{ending}"
            own.parent.mkdir()
            (folder / own.name).rename(own)
            file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"data": {"path": str(own)}}))
        monkeypatch.setattr(
            deployment, "node_folder", lambda n: Watched.read(deployment.folder / "nodes" / f"node-{n}")
        )
        return deployment

    Opened.by_node.clear()
    deployed.opened = Opened.by_node
    return deployed
