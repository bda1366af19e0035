"""Files of a user's own: hashed with what they import, executed as they were read, and told apart from all else."""

import pytest

from simulator.core.errors import InputError
from simulator.core.method import METHODS
from simulator.core.user_code.files import keep, read
from simulator.core.user_code.modules import module_of
from simulator.core.user_code.names import pinned

METHOD = """
from simulator.core.method import Method
class Mine(Method):
    strength = {strength}
"""


@pytest.fixture
def write(tmp_path):
    def written(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return written


def test_the_hash_counts_the_text_and_all_that_it_imports_from_its_folder(write):
    write("helper.py", "deeper = 1")
    file = write("mine.py", "from helper import deeper\nfrom .helper import deeper as again\nimport helper as h, ast")
    first = read(file)
    assert read(file) is first

    write("helper.py", "deeper = 2")
    second = read(file)
    assert first.hash != second.hash
    assert (module_of(first).again, module_of(second).again) == (1, 2), "each keeps the text that it was read with"
    assert module_of(second).h is module_of(second.beside["helper"]), "a file is one module, whoever imports it"


def test_what_is_kept_has_the_same_hash(write, tmp_path):
    write("helper.py", "x = 1\r\n")
    file = read(write("mine.py", "\ufeffimport helper"))
    keep([file], tmp_path / "run")

    assert read(tmp_path / "run" / "code" / "mine.py").hash == file.hash


def test_two_files_of_one_name_are_refused_in_one_run(write, tmp_path):
    first = read(write("mine.py", "x = 1"))
    second = read(write("mine.py", "x = 2"))
    with pytest.raises(InputError, match=r"mine\.py: is the name of two different things"):
        keep([first, second], tmp_path / "run")


def test_a_name_with_a_hash_is_that_text_or_an_error(write, tmp_path):
    write("mine.py", METHOD.format(strength=1))
    name = pinned("mine.py:Mine", tmp_path)
    write("mine.py", METHOD.format(strength=2))
    assert METHODS.load(name).strength == 1, "it was read before"

    other = name.replace(name[8:24], "0" * 16)
    with pytest.raises(InputError, match=r"mine\.py: has been changed: its text.* is not the 0000000000000000"):
        pinned(other, tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "import gone_from_here",
            r"mine\.py:1: cannot be executed: ModuleNotFoundError: No module(.|\n)*File \"mine\.py\", line 1",
        ),
        (
            "def f():\n    return 1 / 0\nx = f()",
            r"(?s)mine\.py:2: .*ZeroDivisionError.*line 3.*x = f\(\).*return 1 / 0",
        ),
        ("x = (", r"mine\.py:1: is not Python: '\(' was never closed"),
        ("exit()", r"mine\.py:1: cannot be executed: SystemExit"),
        ("from .. import x", r"mine\.py:1: imports from outside of its folder"),
        ("from .gone import x", r"mine\.py:1: imports gone from its folder, where there is no gone\.py"),
        ("import mine", r"files import each other in a circle: mine\.py -> mine\.py"),
        ("import statistics", r"mine\.py:1: imports statistics, and so is a file beside it called"),
        ("import methods.idkd", r"mine\.py:1: imports methods, and so is a file beside it called"),
        ("x = 1", r"there is no 'Mine' in mine\.py"),
        ("class Mina: pass", r"(?s)there is no 'Mine' in mine\.py.*Did you mean 'Mina'"),
        ("class Mine: pass", r"(?s)'mine\.py@.*:Mine' is no class of a part.*simulator\.core\.method\.Method"),
        ("from simulator.mixers.gossip import Gossip as Mine", r"is a Mixer, and no Method"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_own_lines(write, tmp_path, text, complaint):
    write("statistics.py", ""), write("methods.py", "")
    write("mine.py", text)
    with pytest.raises(InputError, match=complaint) as caught:
        METHODS.load(pinned("mine.py:Mine", tmp_path))
    assert "user_code" not in str(caught.value), "nothing of ours is quoted"


def test_a_missing_file_is_told_with_those_that_are_there(write, tmp_path):
    write("mine.py", "")
    with pytest.raises(InputError, match=r"(?s)min\.py: cannot be read in .*No such file.*files there: mine\.py"):
        pinned("min.py:Mine", tmp_path)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("gone_from_here:Mine", r"(?s)cannot be imported: No module named.*write gone_from_here\.py:Mine"),
        ("simulator.mixers.gossip:Gosip", "(?s)no 'Gosip'.*Did you mean 'Gossip'"),
        ("my file:Mine", "is no name of a part"),
        (":", "is no name of a part"),
    ],
)
def test_other_names_with_a_colon_are_of_packages(name, complaint):
    with pytest.raises(InputError, match=complaint):
        METHODS.load(name)


def test_a_class_of_a_package_needs_no_entry_point():
    assert METHODS.load("methods.idkd:IDKD") is METHODS.load("idkd")
