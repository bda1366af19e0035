"""Canaries whose gradients are marks: what they leave in a block or along directions, and that nothing else notices."""

import numpy as np
import pytest
import torch
from reference.experiments import small
from reference.sample_gradients import of_one_tensor

from methods.differential_privacy.dp_sgd import DPSGD, clipped_sum
from methods.differential_privacy.node_dp import NodeDP
from methods.trend.method import Trend
from simulator import run
from simulator.core.canary_marks import LENGTH, BlockMarks, MarkedCanaries
from simulator.core.errors import InputError
from simulator.results.recordings import Recordings

QUIET = ("data.public=[]", "data.partition=iid", "rounds=3", "evaluate.every=3", "training.batch_size=1000")
LR, CLIP = 0.3, 0.5


@pytest.fixture(autouse=True)
def _installed(register):
    register("methods", "dp_sgd", DPSGD)
    register("methods", "node_dp", NodeDP)
    register("methods", "trend", Trend)


def trained(path, canaries, *overrides, method="dp_sgd", **settings):
    private = {"name": "dp_sgd" if method == "trend" else method, "clip": CLIP, "noise_multiplier": 0.0, **settings}
    methods = [*([{"name": "trend"}] if method == "trend" else []), *([private] if method else [])]
    return run(small(*QUIET, f"data.canaries={canaries}", *overrides, methods=methods), path)


def sent(done, rounds=3):
    kept = Recordings(done.path / "canary_marks")
    return np.array(
        [[kept.load(t, u, "sent").double().numpy() for u in range(4)] for t in range(1, rounds + 1)]
    )  # [T, n, m]


def test_a_planted_gradient_is_clipped_to_the_clip_and_others_are_left_alone():
    canaries = BlockMarks(MarkedCanaries(3, np.array([-1, 2, -1, 0]), (1, -1)), slice(1, 4))
    gradients = torch.randn(4, 5)
    planted, index = gradients.clone(), torch.tensor([0, 1, 2, 3])
    canaries.plant(planted, index, round=2)
    assert torch.equal(planted[[0, 2]], gradients[[0, 2]])
    (mark,) = (clipped_sum(of_one_tensor(planted[[row]]), CLIP) for row in [1])
    assert mark.tolist() == pytest.approx([0, 0, 0, -CLIP, 0])
    assert clipped_sum(of_one_tensor(planted[[3]]), CLIP).norm().item() == pytest.approx(CLIP)


@pytest.mark.parametrize("trainer", ["sequential", "stacked"])
def test_every_drawn_canary_moves_its_entry_by_one_clip_a_step_and_nothing_else_does(tmp_path, trainer):
    done = trained(tmp_path, "{kind: block, number: 10, signs: '+-', coins: 3}", f"training.trainer={trainer}")
    kept, before = done.directory.partition(), np.zeros((4, 40))
    assert set(kept["canary_included"]) == {True, False}
    for round, after in enumerate(sent(done)):
        for node, data in enumerate(each.data for each in done.nodes):
            marks = (before - after)[node] * len(data.train) / (LR * CLIP)
            expected = (-1) ** round * kept["canary_included"] * (kept["canary_node"] == node)
            assert marks == pytest.approx(expected, abs=1e-9)
        before = done.directory.topology.weights @ after


def test_random_directions_are_orthogonal_and_show_what_lies_along_each():
    marks = MarkedCanaries(3, np.array([0, 1, 2, -1]), (1,), directions=7).marks(10, None)
    planted = torch.randn(4, 10)
    marks.plant(planted, torch.arange(3), round=1)
    directions = planted[:3] / LENGTH
    assert torch.allclose(directions @ directions.T, torch.eye(3), atol=1e-6)
    model = torch.randn(10)
    assert torch.allclose(marks.shown(model).float(), directions @ model, atol=1e-6)
    again, other = (MarkedCanaries(3, np.arange(3), (1,), seed).marks(10, None).shown(model) for seed in (7, 8))
    assert torch.equal(again, marks.shown(model))
    assert not torch.equal(other, again)


def test_more_directions_than_parameters_are_refused():
    with pytest.raises(InputError, match=r"data\.canaries: 11 canaries, each with a direction .* more than 10 param"):
        MarkedCanaries(11, np.arange(11), (1,), directions=7).marks(10, None)


def test_every_drawn_canary_moves_the_model_by_one_clip_along_its_direction(tmp_path):
    settings = "{kind: direction, number: 10, coins: 3}"
    done = trained(tmp_path, settings, "rounds=1", "evaluate.every=1")
    kept, module = done.directory.partition(), done.blueprint.module()
    start = done.nodes[0].marks.shown(module.initial).numpy()
    for node, data in enumerate(each.data for each in done.nodes):
        marks = (start - sent(done, 1)[0, node]) * len(data.train) / (LR * CLIP)
        mine = (kept["canary_node"] == node) & kept["canary_included"]
        assert marks[mine].mean() == pytest.approx(1, abs=0.4)  # other samples' gradients lie along them, too
        assert marks[~mine].mean() == pytest.approx(0, abs=0.2)


def test_the_block_is_no_part_of_what_is_evaluated_and_without_canaries_there_is_none(tmp_path):
    plain, none = (trained(tmp_path / name, kind) for name, kind in (("0", "0"), ("n", "{kind: block, number: 0}")))
    for one, other in zip(plain.nodes, none.nodes, strict=True):
        assert torch.equal(one.parameters, other.parameters)
    assert not (none.path / "canary_marks").exists()
    marked = trained(tmp_path / "b", "{kind: block, number: 5}")
    node, test, module = marked.nodes[0], marked.nodes[0].data.test, marked.blueprint.module()
    assert len(node.parameters) == len(plain.nodes[0].parameters) + 20
    outputs = []
    for block in (node.marks.shown(node.parameters), torch.zeros(20)):
        module.bind(torch.cat([block, node.parameters[20:]]))
        outputs.append(module.outputs(test, node.data.preparation))
    assert torch.equal(*outputs)


def test_coins_of_the_audits_own_do_not_follow_from_the_seed(tmp_path):
    coins = [
        trained(
            tmp_path / str(number), f"{{kind: block, number: 30, coins: {number}}}", "rounds=1", "evaluate.every=1"
        ).directory.partition()
        for number in (1, 2)
    ]
    assert (coins[0]["canary_index"] == coins[1]["canary_index"]).all()
    assert 0.25 < (coins[0]["canary_included"] == coins[1]["canary_included"]).mean() < 0.75


@pytest.mark.parametrize(
    ("changes", "method", "told"),
    [
        ([], "", r"data\.canaries: .*clips sample by sample, and none here does"),
        (
            ["training.local_steps=2", "training.optimizer={lr: 0.1, momentum: 0.9}"],
            "dp_sgd",
            r"momentum that of several",
        ),
        (["mixer={name: gossip, order: combine_then_adapt}"], "dp_sgd", r"leave before it"),
        ([], "node_dp", r"whole updates are clipped, as node_dp does"),
        (["mixer={name: choco}"], "dp_sgd", r"need linear messages, and choco declares no"),
        (
            ["methods.0.clipping=per_layer"],
            "dp_sgd",
            r"data\.canaries: .* are marks of one clip, and dp_sgd",
        ),
        (
            ["methods.0.sampling=cyclic"],
            "dp_sgd",
            r"data\.canaries: .* are scored by how often Poisson samples hold them, and dp_sgd draws cyclic ones",
        ),
        (["methods.0.clip=1e7"], "dp_sgd", r"are gradients of norm 1e\+06, which a clip of 1e\+07 leaves as they are"),
        (["methods.0.share=same_bits"], "trend", r"over all links, and trend keeps parameters from some of them"),
        (["data.canaries={kind: mislabelled, number: 3, signs: '+-'}"], "dp_sgd", r"signs.*has no effect"),
        (["data.canaries={kind: block, number: 99}"], "dp_sgd", r"too few for 99 canaries"),
    ],
)
def test_what_does_not_go_with_a_block_is_refused_by_name(tmp_path, changes, method, told):
    with pytest.raises(InputError, match=told):
        trained(tmp_path, "{kind: block, number: 3}", *changes, method=method)
