"""Rows whose addresses do not depend on their place."""

import pytest
import torch

from simulator.core.aligned_rows import ALIGNMENT, aligned_rows, pitch
from simulator.runs.build import Simulation


@pytest.mark.parametrize("length", [1, 15, 16, 17, 74_113])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_row_begins_where_torch_would_begin_a_tensor(length, dtype):
    vectors = [torch.arange(length, dtype=dtype) + row for row in range(3)]
    rows = aligned_rows(vectors)
    assert torch.equal(rows, torch.stack(vectors))
    assert all(row.data_ptr() % ALIGNMENT == 0 and row.is_contiguous() for row in rows)
    assert rows.stride(0) == pitch(length, rows.element_size()) < length + ALIGNMENT


def test_so_do_the_nodes_parameters_and_momenta(experiment):
    settings = experiment("model.hidden=[7]", "training.optimizer.momentum=0.9")
    for node in Simulation.of(settings).blueprint.nodes([0, 1, 2]):
        assert len(node.parameters) % 16
        assert node.parameters.data_ptr() % ALIGNMENT == node.momentum.data_ptr() % ALIGNMENT == 0
