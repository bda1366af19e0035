"""Code that no package has goes to the actors as a whole, with the files that it uses."""

import pickle
import subprocess
import sys

import pytest

from simulator.backends.ray.local_modules import local_modules_by_value
from simulator.backends.ray.shared_tensors import SharedTensors
from simulator.core.user_code.objects import LOCAL

pytestmark = pytest.mark.ray

FILES = {
    "rm_mine": "import rm_helper\nclass Mine(rm_helper.Base):\n"
    "    def answer(self): return rm_helper.twice(self.number)",
    "rm_helper": "from rm_deeper import TWO\nimport rm_deeper\nclass Base: number = 21\n"
    "def twice(x): return rm_deeper.TWO * x",
    "rm_deeper": "TWO = 2",
}
UNPACK = "import pickle, sys; print(pickle.load(sys.stdin.buffer).content.answer())"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A part of a script's own, whose module uses others beside it."""
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    import rm_mine  # type: ignore[import-not-found]

    LOCAL.add("rm_mine")
    yield rm_mine.Mine()
    LOCAL.remove("rm_mine")
    for name in FILES:
        del sys.modules[name]


@pytest.mark.slow
def test_files_that_a_module_uses_go_with_it(mine):
    with local_modules_by_value():
        carried = pickle.dumps(SharedTensors(mine), protocol=5)
    found = subprocess.run([sys.executable, "-c", UNPACK], input=carried, capture_output=True, timeout=120)

    assert found.stdout == b"42\n", found.stderr.decode()
