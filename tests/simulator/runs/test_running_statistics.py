"""Networks with state in whole runs: what becomes of running statistics, ties, frozen parts and random masks."""

import pytest
import torch
from reference.experiments import Messages, small
from reference.marks import first
from reference.stateful import BatchNet, Dropped, FrozenBase, Tied

from simulator import resume, run
from simulator.core.errors import InputError
from simulator.runs.build import Simulation
from simulator.runs.launch import run_simulation

RUNNING = 2 * (8 + 6)  # values of the running statistics of BatchNet
TRAINING = {"local_steps": 2, "batch_size": 16, "precision": "fp64", "optimizer": {"lr": 0.1}}
CLOCK = {"step_seconds": 0.01, "speed_spread": 0.6, "latency": 0.002}


def experiment(*overrides, model=BatchNet, buffers="mixed", **changes):
    return small(*overrides, **{"model": model, "buffers": buffers, "training": TRAINING, "rounds": 4} | changes)


def states(experiment, path):
    return [node.state_dict() for node in run(experiment, path).nodes]


def statistics(experiment, path):
    return [state["buffers"] for state in states(experiment, path)]


def equal(one, other):
    return all(torch.equal(a[key], b[key]) for a, b in zip(one, other, strict=True) for key in a)


def consensus(done, name):
    return [metric.value for metric in done.metrics() if metric.name == name][-1]


def test_one_node_is_plain_pytorch_with_batch_norm_to_the_last_byte(tmp_path):
    alone = experiment("topology.nodes=1", "topology.graph=complete", "training.precision=fp32")
    simulation = Simulation.of(alone)
    (node,) = simulation.blueprint.nodes([0])
    plain = simulation.blueprint.module().module
    plain.load_state_dict({name: tensor.clone() for name, tensor in plain.state_dict().items()}, assign=True)
    optimizer = torch.optim.SGD(plain.parameters(), 0.1)
    for node.finished in range(4):
        for _ in range(2):
            batch = node.next_batch(node.rng("augmentation"))
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(plain(batch.inputs), batch.targets).backward()
            optimizer.step()

    (state,) = states(alone, tmp_path)
    views = node.buffers.layout.views(state["buffers"], state["counters"])
    own = dict(plain.named_buffers())
    assert all(torch.equal(views[name], own[name]) for name in own)
    assert torch.equal(state["parameters"], torch.cat([each.detach().flatten() for each in plain.parameters()]))


@pytest.mark.slow
def test_on_a_complete_graph_mixed_statistics_are_those_of_all_nodes_together(tmp_path):
    one, *others = statistics(experiment("topology.graph=complete", rounds=3), tmp_path / "mixed")
    assert all(torch.equal(one, other) for other in others)
    first = experiment("topology.graph=complete", rounds=1)
    apart = statistics(experiment("topology.graph=complete", buffers="local", rounds=1), tmp_path / "local")
    (node,) = Simulation.of(first).blueprint.nodes([0])
    together = node.buffers.layout.merged([(0.25, each) for each in apart])
    torch.testing.assert_close(statistics(first, tmp_path / "once")[0], together, rtol=1e-12, atol=1e-12)
    assert not torch.equal(apart[0], apart[1])


def test_mixed_statistics_cost_their_bytes_and_local_ones_none():
    sizes = {}
    for policy in ("local", "mixed", {"policy": "frozen", "freeze_after": 2}):
        seen = Messages()
        asked = experiment("training.precision=fp32", buffers=policy)
        simulation = Simulation.of(asked)
        with simulation.started():
            _go(simulation, seen)
        name = policy if isinstance(policy, str) else "frozen"
        sizes[name] = [(each.round, each.bytes_by_part.get("buffers", 0)) for each in seen.all]

    assert {size for _, size in sizes["local"]} == {0}
    assert {size for _, size in sizes["mixed"]} == {4 * RUNNING}
    assert {(round, size) for round, size in sizes["frozen"]} == {(1, 4 * RUNNING), (2, 4 * RUNNING), (3, 0), (4, 0)}


def _go(simulation, seen):
    from simulator.results.checkpoint import Checkpoints

    engine = simulation.engine(Checkpoints(None, "", 1), [seen])  # writes nothing
    for round in range(4):
        engine._work(round)
        engine._wait(at_most=0)


def test_frozen_statistics_stay_what_they_were_after_their_round(tmp_path):
    frozen = {"policy": "frozen", "freeze_after": 2}
    early = statistics(experiment(buffers=frozen, rounds=2), tmp_path / "early")
    late = statistics(experiment(buffers=frozen, rounds=4), tmp_path / "late")

    assert equal([{"": each} for each in early], [{"": each} for each in late])


@pytest.mark.parametrize("buffers", first(["mixed", {"policy": "frozen", "freeze_after": 2}, "local"], 2), ids=str)
@pytest.mark.slow
def test_stacked_nodes_keep_the_statistics_of_sequential_ones(tmp_path, buffers):
    one, other = (
        states(experiment(f"training.trainer={trainer}", buffers=buffers), tmp_path / trainer)
        for trainer in ("sequential", "stacked")
    )

    for a, b in zip(one, other, strict=True):
        assert torch.equal(a["counters"], b["counters"])
        torch.testing.assert_close(a["buffers"], b["buffers"], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(a["parameters"], b["parameters"], rtol=1e-8, atol=1e-10)


def test_a_run_that_is_resumed_has_the_bytes_of_one_that_never_stopped(tmp_path):
    whole = experiment(checkpoint={"every": 2, "keep": "all"})
    done = run(whole, tmp_path)
    straight = [node.state_dict() for node in done.nodes]
    (done.path / "checkpoints" / "round-000004").rename(tmp_path / "aside")

    assert equal(straight, [node.state_dict() for node in resume(done.path).nodes])


@pytest.mark.parametrize(
    ("mixer", "failures"),
    [("push_sum", 0.3), ("choco", 0.0), ({"name": "gossip", "order": "combine_then_adapt"}, 0.3)],
    ids=str,
)
@pytest.mark.slow
def test_every_mixer_averages_statistics_whatever_is_lost(tmp_path, mixer, failures):
    mixed, local = (
        torch.stack(
            statistics(
                experiment(f"topology.failures.links={failures}", mixer=mixer, buffers=policy), tmp_path / policy
            )
        )
        for policy in ("mixed", "local")
    )

    assert mixed.isfinite().all()
    assert mixed.std(dim=0).mean() < local.std(dim=0).mean()


@pytest.mark.slow
def test_pairs_average_their_statistics_too(tmp_path):
    asked = {"mode": "asynchronous", "clock": CLOCK, "mixer": {"name": "pair_average"}}
    mixed, local = (
        torch.stack(statistics(experiment(buffers=policy, **asked), tmp_path / policy)) for policy in ("mixed", "local")
    )

    assert mixed.std(dim=0).mean() < local.std(dim=0).mean()


@pytest.mark.slow
def test_the_consensus_model_has_statistics_of_its_own_where_it_is_asked_for(tmp_path):
    done = run(experiment(buffers={"policy": "mixed", "recompute": 3}), tmp_path)
    without = run(experiment(), tmp_path / "without")

    assert consensus(done, "consensus/test/loss") == consensus(without, "consensus/test/loss")
    assert consensus(done, "recomputed/consensus/test/loss") != consensus(done, "consensus/test/loss")
    assert equal([node.state_dict() for node in done.nodes], [node.state_dict() for node in without.nodes])


@pytest.mark.parametrize(
    ("method", "buffers", "shown"),
    [
        ({"name": "dp_sgd", "noise_multiplier": 1.0}, "local", "group normalisation|GroupNorm"),
        ({"name": "node_dp", "noise_multiplier": 1.0}, "mixed", "function of the raw batch"),
        ({"name": "node_dp", "noise_multiplier": 1.0}, {"policy": "frozen", "freeze_after": 1}, r"net\.2"),
    ],
)
def test_statistics_that_no_promise_covers_are_refused(method, buffers, shown):
    with pytest.raises(InputError, match=shown):
        Simulation.of(experiment(buffers=buffers, methods=[{**method, "delta": 1e-3}])).blueprint.module()


def test_batches_of_one_sample_are_refused_before_the_run_where_statistics_need_more(tmp_path):
    with pytest.raises(
        InputError, match=r"model: the network fails in a forward pass of training with ValueError: Exp"
    ):
        run(experiment(buffers="local", training={"batch_size": 1}), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "buffers"), [("dp_sgd", "frozen"), ("node_dp", "local")])
def test_statistics_that_tell_nothing_go_beside_a_promise(tmp_path, name, buffers):
    methods = [{"name": name, "noise_multiplier": 1.0, "delta": 1e-3}]

    assert run(experiment(buffers=buffers, methods=methods, rounds=1), tmp_path).status == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("model", [Dropped, BatchNet])
def test_masks_are_the_nodes_own_whoever_else_trains(tmp_path, model):
    buffers = "local" if model is BatchNet else None
    asked = {"model": model, "buffers": buffers}
    overrides = ["model.dropout=0.5"] if model is BatchNet else []
    torch.manual_seed(1)
    one = states(experiment("backend.workers=1", *overrides, **asked), tmp_path / "1")
    torch.manual_seed(2)
    two = states(experiment("backend.workers=2", *overrides, **asked), tmp_path / "2")

    assert equal(one, two)


def test_two_nodes_draw_different_masks_and_a_third_changes_neither():
    def masks(nodes):
        simulation = Simulation.of(experiment(f"topology.nodes={nodes}", model=Dropped, buffers=None))
        module, found = simulation.blueprint.module(), []
        for node in simulation.blueprint.nodes(range(nodes)):
            with node.using(module), node.drawing("network"), module.autocast():
                found.append(torch.nn.functional.dropout(torch.ones(50)))
        return found

    two, three = masks(2), masks(3)
    assert not torch.equal(two[0], two[1])
    assert all(torch.equal(a, b) for a, b in zip(two, three, strict=False))


@pytest.mark.slow
def test_a_frozen_base_does_not_move_and_does_not_travel(tmp_path):
    asked = experiment("topology.nodes=16", model=FrozenBase, buffers=None, rounds=5)
    blueprint = Simulation.of(asked).blueprint
    module, nodes = blueprint.module(), blueprint.nodes(range(16))
    digest = module.constants
    done = run(asked, tmp_path)

    assert {len(node.parameters) for node in nodes} == {module.num_parameters}
    assert module.num_parameters == 20 * 10 + 10
    assert done.blueprint.module().constants == digest
    assert all(node.buffers is None for node in done.nodes)


def test_tied_weights_travel_once(tmp_path):
    seen = Messages()
    simulation = Simulation.of(experiment(model=Tied, buffers=None))
    run_simulation(simulation, tmp_path, [seen])

    assert {each.bytes_by_part["parameters"] for each in seen.all} == {8 * (6 * 64 + 6 * 10 + 10)}
