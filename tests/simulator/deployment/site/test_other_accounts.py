"""What other accounts of a host could put in its way does not lend them the rights of a site's own process."""

import fcntl
import os
import subprocess
import sys

import pytest
from reference.deployment import Deployment
from reference.experiments import small

from simulator.core.errors import InputError
from simulator.deployment.confined import accounts
from simulator.deployment.confined.started import Account, _copied
from simulator.deployment.site.approval import experiment_hash
from simulator.deployment.site.serving.listener import listening
from simulator.deployment.site.serving.supernode_folder import write_supernode_folder


@pytest.fixture
def node(tmp_path):
    return Deployment(small(), tmp_path).place(0)


def test_what_the_supernode_needs_is_written_with_its_users_rights(node, nobody, everybodys):
    write_supernode_folder(everybodys / "node-0", node, everybodys / "a.sock", nobody.user)
    files = [everybodys / "node-0", *(everybodys / "node-0").iterdir()]
    assert len(files) == 6
    assert {file.stat().st_uid for file in files} == {nobody.user}
    assert os.geteuid() == 0


def test_its_script_starts_without_the_programs_that_a_login_finds(node, tmp_path):
    """As `sudo` does, which looks in places of its own."""
    own = tmp_path / "supernode"
    write_supernode_folder(own, node, tmp_path / "a.sock", os.geteuid())
    with (own / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([own / "start.sh"], env={"PATH": os.defpath}, capture_output=True, text=True)
    assert "runs already on this host" in done.stderr


def test_an_account_that_cannot_use_this_python_is_told_which_folder_is_closed(nobody, everybodys, monkeypatch):
    """Which is not the one of the environment, where it is a link to a Python in somebody's home."""
    monkeypatch.setattr(accounts, "USED", ())
    home, linked = everybodys / "home", everybodys / "python"
    home.mkdir(0o755)
    (home / "python").write_text("")
    linked.symlink_to(home / "python")
    monkeypatch.setattr(sys, "executable", str(linked))
    accounts.check_python("--as-user", nobody.user)
    home.chmod(0o700)
    with pytest.raises(InputError, match=f"nobody cannot use the Python that runs here: {home} is closed to it"):
        accounts.check_python("--as-user", nobody.user)


def test_links_in_it_lead_to_nothing_that_its_user_could_not_write(node, nobody, everybodys, tmp_path):
    own, secret = everybodys / "node-0", tmp_path / "secret"
    own.mkdir()
    secret.write_text("of root")
    for name in ("start.sh", "beside it"):
        (own / name).symlink_to(secret)
    os.chown(own, nobody.user, -1)
    with pytest.raises(InputError, match="cannot be written by the SuperNode's user"):
        write_supernode_folder(own, node, everybodys / "a.sock", nobody.user)
    assert (secret.read_text(), secret.stat().st_uid) == ("of root", 0)


def test_no_socket_is_made_below_what_another_account_could_move(nobody, everybodys):
    (everybodys / "theirs" / "a").mkdir(parents=True)
    everybodys.chmod(0o755)
    os.chown(everybodys / "theirs", nobody.user, -1)
    with pytest.raises(InputError, match="others could put a socket of their own"):
        listening(everybodys / "theirs" / "a" / "a.sock", nobody.user).__enter__()


@pytest.mark.parametrize("name", ["experiment.yaml", "code", "code/helper.py"])
def test_a_link_is_no_part_of_an_experiment(name, node, tmp_path):
    """The administrator's process would read what it leads to, for an account that cannot."""
    target = tmp_path / "elsewhere"
    if name == "code":
        target.mkdir()
    else:
        (node / name).parent.mkdir(exist_ok=True)
        target.write_text("secret")
        (node / name).unlink(missing_ok=True)
    (node / name).symlink_to(target)
    for used in (experiment_hash, lambda folder: _copied(folder, Account.same()).__enter__()):
        with pytest.raises(InputError, match="what it leads to is no part of the experiment"):
            used(node)


def test_code_is_given_no_file_that_was_not_approved(node):
    (node / "code").mkdir()
    (node / "code" / "a.py").write_text("")
    (node / "code" / "payload.bin").write_text("")
    with _copied(node, Account.same()) as copy:
        assert sorted(file.name for file in copy.rglob("*")) == ["a.py", "code", "experiment.yaml"]
