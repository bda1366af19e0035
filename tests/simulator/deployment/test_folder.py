"""What `rumormill deploy init` writes: everybody's part, nobody else's secrets; and what it refuses."""

import stat
import tomllib

import pytest
import yaml
from cryptography import x509
from reference.deployment import Deployment
from reference.experiments import small

from simulator.core.declaration import largest
from simulator.core.errors import InputError
from simulator.core.method import Method
from simulator.core.node_program import NodeProgram
from simulator.core.user_code.files import KNOWN
from simulator.deployment.addresses import Addresses
from simulator.deployment.collect import collect
from simulator.deployment.host import _alone, superlink_settings
from simulator.deployment.mailbox_process import MailboxSettings
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.plan import deployable, plan
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.tolerance import bears_losses
from simulator.deployment.transport.certificates import Identity
from simulator.deployment.transport.sealing import OVERHEAD
from simulator.runs.build import Simulation

BUDGET = {"name": "dp_sgd", "noise_multiplier": 1.0, "max_epsilon": 3.0}
PUSH = {"topology": {"graph": "exponential", "nodes": 4, "weights": "push"}, "mixer": "push_sum"}
CLOCK = {"step_seconds": 0.01}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    return Deployment(small(), tmp_path_factory.mktemp("folder"))


def test_every_node_gets_its_own_part_and_nobody_elses(deployment):
    secrets = {}
    for node in range(4):
        node_folder = deployment.node_folder(node)
        Identity.read(node_folder.folder).check(f"node-{node}")
        assert set(node_folder.neighbours) == set(node_folder.keys) == {(node - 1) % 4, (node + 1) % 4}
        secrets[node] = [(node_folder.folder / name).read_bytes() for name in ("node.key", "seal.key", "supernode")]
    assert len({secret for own in secrets.values() for secret in own}) == 12
    for file in deployment.folder.rglob("*"):
        secret = file.suffix == ".key" or file.name in ("supernode", "superexec.secret")
        if file.is_file():
            assert bool(stat.S_IMODE(file.stat().st_mode) & 0o077) != secret, file
        assert file.is_file() or file.name == "nodes" or stat.S_IMODE(file.stat().st_mode) == 0o700, file
    elsewhere = [file for file in (deployment.folder / "superlink").rglob("*") if file.is_file()]
    assert not any(secret in file.read_bytes() for file in elsewhere for own in secrets.values() for secret in own)


def test_what_runs_a_folder_runs_it_once(tmp_path):
    with _alone(tmp_path), pytest.raises(InputError, match="runs already on this host"), _alone(tmp_path):
        pass
    with _alone(tmp_path):
        pass
    with pytest.raises(InputError, match="No such file or directory"), _alone(tmp_path / "nowhere"):
        pass


def test_quorums_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"backend.quorum: 5 of 4 nodes cannot be there"):
        plan(deployable(small(), quorum=5))
    with pytest.raises(InputError, match=r"mixer or methods need every message"):
        plan(deployable(small(methods=[{"name": "gradient_tracking"}]), quorum=3))
    ready = plan(deployable(small(), quorum=3)).manifest
    assert (ready.quorum, ready.absences, ready.goes_on) == (3, "borne", True)
    assert plan(deployable(small(methods=[{"name": "gradient_tracking"}]))).manifest.absences == "waited out"


def test_the_app_holds_the_terms_and_flower_takes_it(deployment):
    from flwr.supercore.object_ref import validate

    flwr = tomllib.loads((deployment.folder / "app" / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert RunManifest.read(flwr["config"]) == deployment.manifest
    for component in flwr["components"].values():
        assert validate(component, project_dir=deployment.folder / "app") == (True, None)


def test_the_readme_has_a_command_for_every_host(deployment):
    text = (deployment.folder / "README.md").read_text()
    for node in range(4):
        assert f"node {node}, {deployment.node_folder(node).listen}" in text
    assert "{" not in text


def test_the_superlinks_host_gets_the_nodes_public_keys_and_they_the_gateways_address(deployment):
    for node in range(4):
        key = deployment.folder / "superlink" / "supernodes" / f"node-{node}.pub"
        assert key.read_bytes() == (deployment.node_folder(node).folder / "supernode.pub").read_bytes()
        assert deployment.node_folder(node).superlink == superlink_settings(deployment.folder / "superlink")["public"]


def test_a_mailbox_has_a_name_and_a_port_of_its_own_and_knows_links_and_lengths_alone(tmp_path, deployment):
    relayed = Deployment(small(), tmp_path, plane="relay")
    link, settings = relayed.folder / "superlink", MailboxSettings.read(relayed.folder / "superlink")
    names = x509.load_pem_x509_certificate((link / "mailbox.crt").read_bytes()).extensions
    assert names.get_extension_for_class(x509.SubjectAlternativeName).value == x509.SubjectAlternativeName(
        [x509.DNSName("mailbox")]
    )
    assert (settings.edges, settings.exchanges) == (relayed.manifest.edges, 1)
    sent = next(iter(relayed.experiment.topology.build(0).base.edges()))  # all send the same
    program = NodeProgram(Simulation.of(small()).blueprint.nodes([sent[1]])[0])
    assert settings.largest == OVERHEAD + largest(program.declared(*sent, 1, 1))
    assert {relayed.node_folder(node).mailbox for node in range(4)} == {settings.public}
    text = (relayed.folder / "README.md").read_text()
    assert f"every node | {settings.public}, TCP: the mailbox" in text
    assert "{" not in text
    assert not (deployment.folder / "superlink" / "mailbox.yaml").exists()
    assert not list((relayed.folder / "nodes").rglob("mailbox*"))


def test_settings_of_a_mailbox_that_are_none_are_refused(tmp_path):
    (tmp_path / "mailbox.yaml").write_text("listen: 127.0.0.1:9445\n")
    with pytest.raises(InputError, match=r"mailbox.yaml: does not say what a mailbox needs"):
        MailboxSettings.read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mode": "asynchronous", "clock": CLOCK}, r"mode: asynchronous mode runs on a simulated clock"),
        ({"adversaries": [{"nodes": [0], "attack": "silent"}]}, r"adversaries: attackers exist in simulations alone"),
        ({"methods": [BUDGET], **PUSH}, r"methods: a method may let single nodes leave(.|\n)*max_epsilon"),
    ],
)
def test_what_cannot_be_deployed_is_refused(changes, problem):
    with pytest.raises(InputError, match=problem):
        plan(deployable(small(**changes)))


METHOD = "from simulator.core.method import Method\nclass Mine(Method): {}"


def test_a_node_takes_code_from_its_own_folder_alone_and_only_by_its_hash(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(METHOD.format("pass"))
    deployment = Deployment(small("methods=[mine.py:Mine]", folder=tmp_path), tmp_path)
    name = deployment.experiment.methods[0].name
    codes = [deployment.node_folder(node).folder / "code" / "mine.py" for node in range(4)]
    assert {code.read_text() for code in codes} == {METHOD.format("pass")}
    assert "Mine(Method)" not in "".join(file.read_text() for file in (deployment.folder / "app").rglob("*.*"))

    monkeypatch.delitem(KNOWN, name.partition("@")[2].partition(":")[0])  # as in a host's own process
    assert deployment.node_folder(0).experiment().methods[0].name == name
    monkeypatch.delitem(KNOWN, name.partition("@")[2].partition(":")[0])
    codes[1].write_text(METHOD.format("strength = 2"))
    with pytest.raises(InputError, match=r"mine\.py: has been changed"):
        deployment.node_folder(1).experiment()
    codes[2].unlink()
    with pytest.raises(InputError, match=r"mine\.py: cannot be read"):
        deployment.node_folder(2).experiment()


def test_a_class_that_no_file_holds_is_not_deployed(register):
    register("methods", "handed", type("Handed", (Method,), {"__module__": __name__}))
    with pytest.raises(InputError, match=r"backend: handed is known to this Python process alone"):
        plan(deployable(small(methods=["handed"])))


def test_nodes_find_the_data_from_their_own_folders(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for given, found in {"arrays": str(tmp_path / "arrays"), "~/arrays": "~/arrays", "/arrays": "/arrays"}.items():
        ready = plan(deployable(small(f"data.root={given}")))
        assert yaml.safe_load(ready.experiment)["data"]["root"] == found


def test_bad_input_is_refused_by_name(deployment, tmp_path):
    with pytest.raises(InputError, match="2 hosts for 4 nodes"):
        Addresses.planned("a:1", ["x", "y"], 4, 9500)
    with pytest.raises(InputError, match="'nowhere' is no address"):
        Addresses.planned("nowhere", None, 4, 9500)
    with pytest.raises(InputError, match=r"with a certificate for 'Node-1' the SuperLink would pass for a node"):
        Addresses.planned("Node-1:9443", None, 4, 9500)
    with pytest.raises(InputError, match="'a:1' is no host"):
        Addresses.planned("link:1", ["a:1"] * 4, 4, 9500)
    with pytest.raises(InputError, match="4 nodes of a host need the ports 65530 to 65537"):
        Addresses.planned("link:1", None, 4, 65530)
    with pytest.raises(InputError, match=r"a node and the SuperLink would share 127\.0\.0\.1:9500"):
        Addresses.planned("10.0.0.9:9499", None, 4, 9498)
    for port in (9443, 9444, 70000):
        with pytest.raises(InputError, match="--mailbox-port: "):
            Addresses.planned("10.0.0.9:9443", None, 4, 9500, mailbox_port=port)
    with pytest.raises(InputError, match=r"a node and the SuperLink would share 127\.0\.0\.1:9501"):
        Addresses.planned("127.0.0.1:9443", None, 4, 9500, mailbox_port=9501)
    with pytest.raises(InputError, match="--listen: 'everywhere' is no address"):
        Addresses.planned("link:1", None, 4, 9500, "everywhere")
    with pytest.raises(InputError, match="exists already"):
        Deployment(small(), deployment.folder.parent)
    with pytest.raises(InputError, match="is not the folder of a node"):
        NodeFolder.read(tmp_path)
    with pytest.raises(InputError, match="is not the folder of a deployment"):
        collect(tmp_path)
    with pytest.raises(InputError, match=r"holds 0 of 6 rounds"):
        collect(deployment.folder, tmp_path)
    with pytest.raises(InputError, match="plane"):
        deployable(small(), plane="telepathy")


def test_ports_count_up_where_nodes_share_a_host_and_are_the_same_elsewhere():
    planned = Addresses.planned("link:9443", ["a", "b", "a"], 3, 9500)
    assert (list(planned.nodes), list(planned.runtimes)) == (["a:9500", "b:9500", "a:9501"], [9502, 9501, 9503])


def test_a_host_that_cannot_be_reached_has_a_port_for_its_own_processes_alone():
    planned = Addresses.planned("link:9443", ["none", "b", "none"], 3, 9500)
    assert (list(planned.nodes), list(planned.runtimes)) == (["none", "b:9500", "none"], [9501, 9501, 9501])


def test_the_superlink_itself_stays_on_loopback_whatever_its_public_address():
    named, numbered = (Addresses.planned(f"{host}:9443", None, 4, 9500) for host in ("link.example", "192.0.2.7"))
    assert {named.superlink, numbered.superlink} == {"127.0.0.1:9444"}
    assert (named.public, named.listen) == ("link.example:9443", "0.0.0.0:9443")  # a name may be loopback at home
    assert (numbered.public, numbered.listen) == ("192.0.2.7:9443", "192.0.2.7:9443")
    assert Addresses.planned("192.0.2.7:9443", None, 4, 9500, "10.0.0.2:443").listen == "10.0.0.2:443"


def test_which_experiments_bear_losses():
    push = {"topology": {"graph": "exponential", "nodes": 4, "weights": "push"}, "mixer": "push_sum"}
    assert bears_losses(small())
    assert bears_losses(small(methods=[{"name": "quasi_global_momentum"}]))
    assert not bears_losses(small(mixer={"name": "choco", "compression": {"name": "top_k", "keep": 0.2}}))
    assert not bears_losses(small(**push))
    assert not bears_losses(small(methods=[{"name": "gradient_tracking"}]))
