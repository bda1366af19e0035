"""What a node's host brings of it: taken over as what that node may say, or refused by the file's name."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.deployment import Deployment
from reference.experiments import small

from simulator.core.errors import InputError
from simulator.core.message import Envelope
from simulator.core.report import Artifact, Metric
from simulator.deployment.transport.wire import encode

ONES = {"found": np.ones(2)}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    deployment = Deployment(small(rounds=2), tmp_path_factory.mktemp("folders"))
    assert deployment.p2p(2, seconds=100.0) == dict.fromkeys(range(4), 2)
    return deployment


@pytest.fixture
def collected(done, tmp_path):
    """``collected(change)``: what comes of it when ``change(memory)`` was at node 1's folder before."""

    def collect(change):
        report = done.node_folder(1).folder / "report"
        shutil.copytree(report, tmp_path / "kept")
        try:
            change(done.node_folder(1).memory(done.manifest.run))
            return done.collected(tmp_path / "runs")
        finally:
            shutil.rmtree(report)
            shutil.copytree(tmp_path / "kept", report)

    return collect


def saying(step, **changes):
    """A change: what node 1 says of that step of its last round is another."""

    def change(memory):
        said = memory.reply(1, step)
        memory.lay_out(1, step, encode(replace(said, **{name: make(said) for name, make in changes.items()})))

    return change


LIES = {
    "an artifact elsewhere": (
        saying("work", artifacts=lambda r: [("../../../outside", Artifact(2, 1, ONES))]),
        "no reply of a node",
    ),
    "nothing wrong": (saying("work", artifacts=lambda r: [("a", Artifact(2, 1, ONES))]), None),
    "metrics of node 0": (saying("work", metrics=lambda r: [Metric(2, 0, "a", 1.0)]), "speaks for another node"),
    "an artifact of node 0": (
        saying("work", artifacts=lambda r: [("a", Artifact(2, 0, ONES))]),
        "speaks for another node",
    ),
    "another round": (saying("absorb", metrics=lambda r: [Metric(9, 1, "a", 1.0)]), "speaks of another round"),
    "messages of node 0": (
        saying("work", sent=lambda r: [Envelope(0, 1, 1, {"parameters": 8}, 9)]),
        "speaks of messages of another node",
    ),
    "another exchange": (
        saying("work", sent=lambda r: [Envelope(1, 0, 2, {"parameters": 8}, 9, exchange=2)]),
        "speaks of messages of another exchange",
    ),
    "no neighbour": (saying("work", sent=lambda r: [Envelope(1, 3, 2, {}, 9)]), "that are no neighbours"),
    "a part that breaks the line": (
        saying("work", sent=lambda r: [Envelope(1, 0, 2, {'a": 1}, "b": {"c': 8}, 9)]),
        "no reply of a node",
    ),
    "the end": (saying("work", stop=lambda r: "enough"), "asks for the end of the run"),
    "no count": (saying("work", steps=lambda r: -5), "no reply of a node"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_node_speaks_for_itself_and_of_what_it_did(lie, collected, tmp_path):
    change, why = LIES[lie]
    if why is None:
        assert collected(change).is_dir()
        return
    with pytest.raises(InputError, match=r"nodes/node-1/report/.*000001-(work|absorb).safetensors") as error:
        collected(change)
    assert why in str(error.value)
    assert not list(tmp_path.rglob("outside*"))
    assert not list(tmp_path.parent.glob("outside*"))


def a_pipe(file):
    os.mkfifo(file)


def a_link(file):
    file.symlink_to("/dev/zero")


def too_large(file):
    file.touch()
    os.truncate(file, 2**42)


@pytest.mark.parametrize("kind", [a_pipe, a_link, too_large, os.mkdir], ids=lambda kind: kind.__name__)
def test_what_is_no_ordinary_file_is_refused_at_once(kind, collected):
    def change(memory):
        memory.file(1, "work").unlink()
        kind(memory.file(1, "work"))

    with pytest.raises(InputError, match=r"node-1/report/.*000001-work.safetensors: cannot be used"):
        collected(change)


@pytest.mark.parametrize(
    "bad", [lambda model: model[:3].clone(), lambda model: model * torch.nan], ids=["short", "NaN"]
)
def test_a_model_of_another_size_or_with_nan_is_none_to_measure(bad, collected):
    def change(memory):
        said = memory.reply(2, "close")
        measured = replace(said.evaluation, parameters=bad(said.evaluation.parameters))
        memory.lay_out(2, "close", encode(replace(said, evaluation=measured)))

    with pytest.raises(InputError, match="measures a model of another size, or one that is not finite"):
        collected(change)
