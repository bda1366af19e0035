"""The examples, followed command by command as their README says, in a copy."""

import re
import shutil
from pathlib import Path

import nbclient
import nbformat
import pytest
from reference.marks import first
from reference.workplace import Workplace

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))
SHOWN = {
    "audit_a_run": r"without a promise.*with epsilon 2",
    "compare_methods": r"methods quasi_global_momentum",
    "own_data_and_network": r"test/accuracy",
    "own_network_and_table": r"round 40/40",
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    place = Workplace(tmp_path_factory.mktemp("workplace"), [EXAMPLES.parent])
    place.script("rumormill", 'exec python -m simulator "$@"')
    return place


@pytest.fixture
def follow(workplace, tmp_path):
    """``follow("own-sites")``: the folder in which the commands of that example were typed, and what each printed.

    With ``last=-1``, all but the last one.
    """

    def typed(name, last=None):
        folder = shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        (block,) = re.findall(r"```bash\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
        return folder, [workplace(command, folder) for command in block.splitlines()[:last]]

    return typed


@pytest.mark.slow
def test_a_method_is_a_package(follow):
    folder, (_, listed, tested, ran) = follow("method-package")
    assert "Pulls local training back to where the" in listed
    assert "2 passed" in tested
    (run,) = (folder / "runs").glob("*")
    assert ran == f"{run.relative_to(folder)}\n"
    assert "proximal/movement" in (run / "metrics.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("audited", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_own_data_have_a_file_a_site(follow, audited):
    folder, _ = follow("own-sites", last=None if audited else -1)
    (run,) = (folder / "runs").glob("*")
    assert len(list((folder / "sites").glob("*.csv"))) == 5
    assert "partition: by_site # each site is a node: aarau, basel, chur" in (folder / "experiment.yaml").read_text()
    assert (run / "report.html").stat().st_size
    assert len(list((run / "audit").glob("membership/metrics.json"))) == audited


@pytest.mark.slow
def test_a_sweep_makes_a_papers_table_and_figures(follow):
    folder, (runs, gained, *_) = follow("sweep-figure")
    assert len(runs.split()) == 12
    assert "more than no" in " ".join(gained.split())
    table = (folder / "table.tex").read_text()
    assert table.count(r"\pm") >= 12
    assert "quasi-global, alpha 0.1" in table
    drawn = sorted(file.name for file in (folder / "figures").glob("*.pdf"))
    assert drawn == ["comparison-rounds.pdf", "comparison-traffic.pdf"]


def test_every_notebook_is_executed_in_a_test():
    assert {book.stem for book in NOTEBOOKS} == SHOWN.keys()


@pytest.mark.slow
@pytest.mark.parametrize("path", first(reversed(NOTEBOOKS)), ids=lambda path: path.stem)
def test_notebooks_run_and_are_kept_without_their_output(path, tmp_path):
    book = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in book.cells)
    nbclient.NotebookClient(book, timeout=400, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert re.search(SHOWN[path.stem], str([cell.get("outputs") for cell in book.cells]), re.DOTALL)
