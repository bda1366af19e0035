"""Rows of tables that are rebuilt: sites with categories, gaps and groups, their own test sets, and a binary task."""

import numpy as np
import pytest
import torch
from reference.sites import sites, write_sites

from auditing.reconstruction.label_counts import counted
from auditing.reconstruction.table_form import TableForm
from simulator import run
from simulator.data.kinds.table import TablePreparation
from simulator.runs.audit import audited

FORM = TableForm(
    TablePreparation(torch.zeros(2), torch.ones(2), torch.tensor([1]), torch.tensor([0, 3]), 5)
)  # two numbers, of which the second may miss, and columns of three and of two categories


def test_rows_that_are_searched_for_become_rows_that_there_can_be():
    free = torch.tensor([[0.3, 0.7, 2.0, 0.1, 3.0, 0.2, -1.0, 1.0]], dtype=torch.float64)
    relaxed, settled = FORM.relaxed(free), FORM.settled(free)
    assert relaxed[0, 3:6].sum() == pytest.approx(1)
    assert settled.tolist() == [[0.3, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0]]


def test_columns_are_right_or_wrong_altogether():
    true = torch.tensor([[0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    other = torch.tensor([[0.4, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    assert FORM.right(true, true).tolist() == [[True] * 4]
    assert FORM.right(other, true).tolist() == [[False, False, True, False]]


@pytest.mark.parametrize("yes", [0, 3, 8])
def test_answers_of_yes_and_no_are_counted(yes):
    answers, targets = torch.rand(8, generator=torch.Generator().manual_seed(yes)).double(), torch.arange(8) < yes
    moved = float((answers - targets.double()).mean())
    mean = float(answers.mean())
    assert counted(np.array([-moved, moved]), np.array([1 - mean, mean]), 8).tolist() == [8 - yes, yes]


@pytest.mark.slow
def test_the_first_layer_gives_rows_back_and_the_search_more_columns_than_another_patient_has(tmp_path):
    overrides = ("rounds=1", "record.rounds=[1]", "training.batch_size=1", "model.hidden=[32]", "evaluate.every=1")
    done = run(sites(write_sites(tmp_path / "data"), *overrides), tmp_path / "runs")
    matching = {"iterations": 150, "restarts": 1}
    result = audited(done, "reconstruction", attacks=["labels", "first_layer", "table"], matching=matching).result()
    found = result["attacked"]["together"]
    exact, searched = (found[attack]["exact"]["all"] for attack in ("first_layer", "table"))
    assert (exact["certified"], exact["close"]) == (4, 1.0)
    assert searched["close"] > 0.5
    assert sum(each["wrong"] for each in result["attacked"]["attacks"]["labels"]) == 0
