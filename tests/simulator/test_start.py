"""The command line answers at once: what takes long to import waits until a command needs it."""

import gc
import subprocess
import sys

import pytest

from simulator.commands.loading import loading

LATE = [  # of every command
    *("torch", "flwr", "ray", "opacus", "numpy", "scipy", "pandas", "matplotlib", "networkx", "sklearn", "pydantic"),
    *("topologies", "methods", "auditing"),
]

OF_OTHERS = [  # what `list` does without
    *("yaml", "markdown_it", "pygments", "rich.table", "typer.rich_utils", "hashlib"),
    *("simulator.part_kinds", "simulator.config.yaml_file", "simulator.core.registry"),
]

CALL = """
import sys
from simulator.__main__ import main

def call(*words):
    sys.argv = ["rumormill", *words]
    try:
        main()
    except SystemExit as ended:
        loaded = sorted(set(sys.modules) & set({late}))
        assert not loaded, f"{{sys.argv}} imports {{loaded}}"
        return ended.code or 0
"""

HELP = """
from typer.main import get_command
from simulator.cli import app

def all_of(command, *words):
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from all_of(below, *words, name)

for words in all_of(get_command(app)):
    assert call(*words, "--help") == 0
    print("helped", *words)
"""


def started(code):
    """What ``code``, in which ``call("list", ...)`` is the command line, prints in a process of its own."""
    program = CALL.format(late=LATE) + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_of_every_command_imports_nothing_that_takes_long():
    helped = {line.strip() for line in started(HELP).splitlines() if line.startswith("helped")}
    assert {"helped", "helped run", "helped topology", "helped deploy init", "helped site serve"} <= helped
    assert len(helped) > 25


@pytest.mark.parametrize(
    "words", [["--version"], ["list"], ["list", "methods"], ["list", "graphs"], ["list", "recipes"]], ids=" ".join
)
def test_version_and_lists_import_nothing_that_takes_long(words):
    assert started(f"assert call(*{words}) == 0; assert not (found := {{*{OF_OTHERS}}} & {{*sys.modules}}), found")


def test_a_list_reads_declarations_once_no_other_command_and_little_of_each_module():
    assert started("""
import ast, typer.main
from simulator.core import part_names, source_text

asked, read, parsed, texts = [], [], [], {}
entry_points, parse, text_of = part_names.entry_points, ast.parse, source_text._text
of_command = typer.main.get_command_from_info
part_names.entry_points = lambda **words: asked.append(words) or entry_points(**words)
typer.main.get_command_from_info = lambda command, **words: read.append(command.name) or of_command(command, **words)
ast.parse = lambda text: parsed.append(len(text)) or parse(text)
source_text._text = lambda module: texts.setdefault(module, text_of(module))
assert call("list") == 0
assert read == ["list"], read
assert len(asked) == 1, asked
assert len(parsed) == len(texts) > 80, (len(parsed), len(texts))
assert 2 * sum(parsed) < sum(map(len, texts.values())), (sum(parsed), sum(map(len, texts.values())))
""")


def test_help_reads_each_command_once():
    assert started("""
from simulator.cli import COMMANDS, _command
assert call("--help") == 0
assert _command.cache_info().misses == len(COMMANDS) < _command.cache_info().hits + len(COMMANDS)
""")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["comp"], {"compare"}),
        (["run", "quick"], {"quickstart", "quickstart-deploy"}),
        (["list", "met"], {"methods", "metrics"}),
        (["topology", "ri"], {"ring"}),
        (["audit", "some-run", "--audit", "rob"], {"robustness"}),
    ],
    ids=lambda words: " ".join(sorted(words)),
)
def test_shells_complete_names_as_soon(words, expected):
    line = {"_RUMORMILL_COMPLETE": "complete_bash", "COMP_WORDS": f"rumormill {' '.join(words)}"}
    code = f"import os; os.environ.update({line | {'COMP_CWORD': str(len(words))}}); call()"
    assert set(started(code).split()) == expected


def test_what_is_mistyped_is_told_as_soon():
    assert started("assert call('list', 'method') == 2; assert call('rnu') == 2; print('told')") == "told\n"


def test_the_package_itself_imports_nothing_that_takes_long():
    started(f"import simulator; assert not set(sys.modules) & set({LATE})")


@pytest.mark.slow
def test_a_local_run_starts_without_what_only_others_need():
    """Neither a report, a deployment, a promise of privacy nor IDKD's first exchange has begun."""
    late = ["flwr", "ray", "opacus", "pandas", "matplotlib", "sklearn"]
    late += ["pyarrow.compute", "scipy.optimize", "scipy.sparse.linalg", "scipy.stats"]
    code = f"""
from simulator import load_experiment, run
from simulator.runs.build import Simulation
Simulation.of(load_experiment("quickstart"))
assert run and not (loaded := set(sys.modules) & set({late})), loaded
"""
    started(code)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["run"], ["resume"], ["sweep"], ["audit"], ["deploy", "local"]], ids=" ".join)
def test_what_trains_is_imported_without_looking_for_garbage(words):
    """Each full collection would walk through all that PyTorch has."""
    program = f"""
import gc, sys
from simulator.__main__ import main

collected = []
gc.callbacks.append(lambda phase, found: collected.append((found["generation"], gc.get_freeze_count() > 100_000)))
sys.argv = ["rumormill", *{words}, "no-such-file"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 2, ended.code
assert "torch" in sys.modules and gc.isenabled()
assert (2, False) not in collected and gc.get_freeze_count() > 100_000, (set(collected), gc.get_freeze_count())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def frozen(monkeypatch):
    """How often what there is was kept out of later collections; it is as if PyTorch were not loaded yet."""
    asked = []
    monkeypatch.setattr(gc, "freeze", lambda: asked.append(gc.isenabled()))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    yield asked
    gc.enable()


def test_garbage_is_collected_again_after_imports_and_after_those_that_fail(frozen):
    with loading():
        assert not gc.isenabled()
    assert (gc.isenabled(), frozen) == (True, [False])
    with pytest.raises(KeyboardInterrupt), loading():
        raise KeyboardInterrupt
    assert gc.isenabled()


def test_where_torch_is_loaded_already_garbage_is_collected_as_ever(frozen, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", sys)
    with loading():
        assert gc.isenabled()
    assert frozen == []


def test_whoever_has_stopped_collection_has_stopped_it(frozen):
    gc.disable()
    with loading():
        pass
    assert (gc.isenabled(), frozen) == (False, [])
