"""The audit of reconstruction on small runs and on plans, from the command line to the report."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.experiments import small

from auditing.reconstruction import conduct, plan
from auditing.reconstruction.audit import ReconstructionAudit
from auditing.reconstruction.batches import Batches
from auditing.reconstruction.plan import Seen
from auditing.reconstruction.updates import Updates
from auditing.reconstruction.victims import Victims
from auditing.views.record import RunRecord, Stored
from simulator import cli, run
from simulator.core.errors import InputError
from simulator.runs.audit import audit, audited

TINY = ("rounds=3", "record.rounds=[1,3]", "data.public=[]", "evaluate.every=3", "data.partition=iid")
PAIRS = (*TINY, "training.batch_size=2")
SINGLE = (*TINY, "training.batch_size=1", "training.precision=fp32")
CLIPPED = {"name": "dp_sgd", "noise_multiplier": 1e-9, "clip": 0.1, "clipping": "flat"}
NOISY = {**CLIPPED, "noise_multiplier": 1.0}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return run(small(*PAIRS), tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def found(pairs):
    return audited(pairs, "reconstruction").result()


def test_neighbours_solve_first_updates_and_the_first_layer_gives_their_samples_back(found):
    near, far = found["plan"]["by_distance"]
    assert (near["solved_by_round"], far["solved"]) == ([8, 0, 0], 0)
    first = found["attacked"]["together"]["first_layer"]["exact"]["1"]
    assert first["verbatim"] >= 6
    assert first["certified"] == first["verbatim"]
    assert first["skill"] == pytest.approx(1)
    assert (first["wrong"], first["succeeded"]) == (0, True)


def test_a_first_update_belongs_to_the_neighbours_and_a_later_one_to_nobody_alone(found):
    solvers = {update["round"]: update["solved_by"] for update in found["attacked"]["updates"] if update["victim"] == 0}
    assert solvers == {1: ["node 1", "node 3"], 3: []}


def test_of_rounds_that_are_not_followed_nobody_is_said_to_compute_nothing(pairs, monkeypatch):
    monkeypatch.setattr(plan, "EXACT", 16)  # one round of four nodes
    updates = audited(pairs, "reconstruction", attacks=["labels"]).result()["attacked"]["updates"]
    assert {update["round"]: update["solved_by"] is None for update in updates} == {1: False, 3: True}


def test_labels_of_fresh_models_are_counted_nearly_right(found):
    labels = found["attacked"]["attacks"]["labels"]
    wrong, even, samples = (sum(each[name] for each in labels) for name in ("wrong", "even", "samples"))
    assert wrong / samples < 0.2 < even / samples


@pytest.mark.slow
def test_what_an_attack_recovers_does_not_depend_on_the_truth(pairs, monkeypatch, tmp_path):
    seen = []

    def remembered(self, name, what, find):
        seen.append((name, find().inputs))
        return find()

    monkeypatch.setattr(conduct.Kept, "recovered", remembered)
    audited(pairs, "reconstruction", attacks=["first_layer"])
    honest = dict(seen)
    truth = Victims.truth
    monkeypatch.setattr(
        Victims,
        "truth",
        lambda self, victim: replace(truth(self, victim), true=np.zeros((1, 1, 8, 8)), rows=np.zeros(1, np.int64)),
    )
    seen.clear()
    audited(pairs, "reconstruction", attacks=["first_layer"])
    assert all(torch.equal(inputs, honest[name]) for name, inputs in seen)


@pytest.mark.slow
def test_updates_of_random_noise_give_nothing(pairs, monkeypatch):
    exact = Updates.exact

    def noise(self, victim, round):
        update = exact(self, victim, round)
        drawn = torch.randn(update.change.shape, generator=torch.Generator().manual_seed(100 * round + victim))
        return replace(update, change=drawn.double() * update.change.std())

    monkeypatch.setattr(Updates, "exact", noise)
    matching = {"iterations": 30, "restarts": 1}
    result = audited(pairs, "reconstruction", attacks=["first_layer", "gradient_matching"], matching=matching).result()
    for attack in ("first_layer", "gradient_matching"):
        figures = result["attacked"]["together"][attack]["exact"]["all"]
        assert not figures["succeeded"]
        assert (figures["certified"], figures["identified"]) == (0, 0)
        assert figures["skill"] <= 0


@pytest.mark.slow
def test_noise_of_differential_privacy_takes_the_samples_out_and_clipping_alone_does_not(tmp_path):
    figures = {}
    for name, method in (("clipped", CLIPPED), ("noisy", NOISY)):
        done = run(small(*SINGLE, methods=[method]), tmp_path / name)
        result = audited(done, "reconstruction", attacks=["first_layer"]).result()["attacked"]
        figures[name] = result["together"]["first_layer"]["exact"]["all"]
        assert result["epsilon"] > 0
    assert figures["clipped"]["identified"] >= 1
    assert (figures["noisy"]["certified"], figures["noisy"]["succeeded"]) == (0, False)
    assert figures["noisy"]["skill"] <= 0


def test_batches_drawn_again_are_those_that_were_trained_on(pairs):
    """The gradient of the batch at the start of the round is the update."""
    record, node = RunRecord.of(pairs), pairs.nodes[2]
    batches = Batches.of_node(pairs, 2)
    (places,) = batches.steps[3]
    start, sent = (record.load(Stored(kind, 2, 3)) for kind in ("start", "message"))
    network = pairs.blueprint.module().in_precision("fp64")
    network.bind(start)
    inputs = node.data.preparation(node.data.train.inputs_at(places), torch.float64)
    loss = node.data.task.losses(network.module(inputs), node.data.train.targets_at(places)).mean()
    network.differentiate(loss)
    assert torch.allclose(sent - start, -0.3 * network.gradient, atol=1e-12)


def test_batches_that_a_method_chose_are_not_believed(tmp_path):
    experiment = small("rounds=4", "record.rounds=[4]", methods=[{"name": "idkd", "first_round": 2, "every": 2}])
    assert Batches.of_node(run(experiment, tmp_path), 0).steps is None


def test_who_hears_everybody_computes_the_very_bytes_that_a_round_began_with(tmp_path):
    done = run(small(*TINY, "topology.graph=complete", "record.rounds=[1,2,3]"), tmp_path)
    record = RunRecord.of(done)
    for round in (1, 2):
        weights = record.weights(round, 1)
        total = sum(
            weights[node] * record.load(record.message(round, node, (node + 1) % 4)) for node in sorted(weights)
        )
        assert torch.equal(total, record.load(Stored("start", 1, round + 1)))
    later = audited(done, "reconstruction", rounds=[2]).result()["attacked"]["updates"]
    assert all(len(each["solved_by"]) == 3 for each in later if each["how"] == "exact")


@pytest.mark.slow
def test_constants_are_solved_for_many_hops_away_only_if_updates_hardly_change(tmp_path):
    found = {}
    for lr, size in ((1e-4, 400), (0.3, 16)):
        settings = ("topology.graph=chain", f"training.optimizer.lr={lr}", f"training.batch_size={size}")
        done = run(small(*TINY, "rounds=8", "record.every=1", "record.rounds=[]", *settings), tmp_path / str(lr))
        found[lr] = audited(done, "reconstruction", attacks=["labels"]).result()["attacked"]["constant"]
    still, moving = ([at["error"] for at in found[lr]["by_distance"]] for lr in (1e-4, 0.3))
    assert max(still) < 0.1
    assert still == sorted(still)
    assert min(moving) > 0.5
    assert found[1e-4]["variation"] < 1e-3 < 0.5 < found[0.3]["variation"]


def test_an_estimate_from_all_messages_is_exact_where_it_can_be_and_else_as_good_as_its_share_says(tmp_path):
    done = run(small(*TINY, "record.rounds=[1,2,3]", "topology.nodes=6"), tmp_path)
    victims = Victims(done, given=False)
    updates = Updates.of(victims.record, torch.float64, victims.knowledge)
    for round, near in ((1, True), (3, False)):
        exact, estimate = updates.exact(1, round), updates.blurred(1, round, 0)
        apart = float((estimate.change - exact.change).norm() / exact.change.norm())
        assert (apart < 1e-9) == near
        assert apart < 1
    guess = updates.guessed(1, 3, 0)
    assert (guess.change - exact.change).norm() > (estimate.change - exact.change).norm()


@pytest.mark.parametrize("symmetric", ["true", "false"])
def test_what_can_be_computed_in_spite_of_lost_links_is_computed(symmetric, tmp_path):
    """Nodes whose links are all down train on, and what they add is in their next messages."""
    lossy = f"topology.failures={{links: 0.5, symmetric: {symmetric}}}"
    done = run(small(*TINY, "rounds=5", "record.every=1", "record.rounds=[]", lossy), tmp_path)
    victims = Victims(done, given=False)
    updates = Updates.of(victims.record, torch.float64, victims.knowledge)
    solved = np.argwhere(Seen.in_network(done.experiment, "nodes").of.solved)
    alone = [not victims.record.receivers(round, node) for round in range(1, 5) for node in range(4)]
    assert any(alone)
    for observer, node, place in solved:
        estimate, _ = victims.knowledge.estimated(observer, node, place + 1)
        assert (estimate - updates.exact(node, place + 1).change).norm() < 1e-9 * estimate.norm()


@pytest.mark.parametrize("changed", [1, 3])
def test_models_that_a_method_changes_after_mixing_are_told_of_whichever_the_round(changed, pairs, monkeypatch):
    load = RunRecord.load

    def elsewhere(record, stored):
        return load(record, stored) + 0.1 * (stored == Stored("mixed", 2, changed))

    assert Victims(pairs, given=False).mixed_as_told()
    monkeypatch.setattr(RunRecord, "load", elsewhere)
    assert not Victims(pairs, given=False).mixed_as_told()


def test_models_that_a_method_changes_are_told_of_where_those_after_mixing_were_left_out(tmp_path, monkeypatch):
    done = run(small(*TINY, "record.rounds=[1,2,3]", "record.without=[mixed]"), tmp_path)
    load = RunRecord.load
    assert Victims(done, given=False).mixed_as_told()
    monkeypatch.setattr(RunRecord, "load", lambda record, it: load(record, it) + 0.1 * (it == Stored("start", 2, 2)))
    assert not Victims(done, given=False).mixed_as_told()


def test_a_round_whose_batches_were_all_empty_is_reported(pairs, monkeypatch):
    from auditing.reconstruction.report import section
    from simulator.results.audit_folder import AuditFolder

    monkeypatch.setattr(Victims, "labels", lambda self, victim: torch.empty(0, dtype=torch.int64))
    audited(pairs, "reconstruction", attacks=["labels"])
    header, rows = next(
        (table.header, table.rows)
        for table in section(AuditFolder(pairs.path / "audit/reconstruction")).tables
        if table.header[0] == "labels of update"
    )
    assert [row[:4] for row in rows] == [("exact", 1, 4, 0), ("exact", 3, 4, 0), ("guessed", 3, 4, 0)]
    assert len(header) == len(rows[0])


@pytest.mark.slow
def test_mixtures_that_were_trained_on_are_no_certain_samples(tmp_path):
    done = run(small(*TINY, "training.batch_size=4", "model.hidden=[64]", methods=[{"name": "mixup"}]), tmp_path)
    result = audited(done, "reconstruction", attacks=["first_layer"]).result()["attacked"]
    assert result["replacing"] == ["mixup"]
    assert result["together"]["first_layer"]["exact"]["all"]["certified"] == 0


def test_a_step_that_a_method_makes_longer_is_known_to_be_so(tmp_path):
    done = run(small(*PAIRS, "record.rounds=[1]", methods=[{"name": "quasi_global_momentum"}]), tmp_path)
    result = audited(done, "reconstruction", attacks=["first_layer"]).result()["attacked"]
    first = result["together"]["first_layer"]["exact"]["1"]
    assert result["remembering"] == ["quasi_global_momentum"]
    assert first["certified"] == first["verbatim"] >= 6


def test_methods_that_train_on_other_samples_are_followed(tmp_path):
    idkd = {"name": "idkd", "first_round": 2, "every": 2}
    done = run(small("rounds=3", "record.rounds=[1,3]", methods=[idkd]), tmp_path)
    result = audited(done, "reconstruction", attacks=["labels"]).result()
    assert result["plan"]["by_distance"][0]["solved_by_round"] == [8, 0, 0]
    assert not result["attacked"]["mixed_otherwise"]


@pytest.mark.slow
def test_an_audit_that_was_stopped_goes_on_and_ends_with_the_same(pairs, monkeypatch):
    settings = {"attacks": ["gradient_matching"], "matching": {"iterations": 5, "restarts": 1}}
    whole = audited(pairs, "reconstruction", **settings)
    expected, calls, recover = (whole.path / "result.json").read_bytes(), [], conduct.INVERSIONS["gradient_matching"]

    def broken(scene, matching):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return recover.recover(scene, matching)

    monkeypatch.setattr(conduct, "INVERSIONS", {"gradient_matching": recover._replace(recover=broken)})
    with pytest.raises(KeyboardInterrupt):
        audited(pairs, "reconstruction", **settings)
    again = audited(pairs, "reconstruction", **settings)
    assert len(calls) == 4 + 12 - 3  # three were kept
    assert (again.path / "result.json").read_bytes() == expected


@pytest.mark.parametrize(
    ("changes", "where"),
    [({"mixer": {"name": "push_sum"}}, "mixer"), ({"mixer": {"name": "choco"}}, "mixer"),
     ({"mixer": {"name": "relay_sum"}, "topology": {"graph": "chain", "nodes": 4}}, "mixer"),
     ({"mixer": {"name": "gossip", "order": "combine_then_adapt"}}, "mixer"),
     ({"mode": "asynchronous", "clock": {"step_seconds": 0.01}, "record": {}}, "mode"), ({"record": {}}, "record")],
)  # fmt: skip
def test_runs_in_which_no_update_can_be_attacked_are_refused_with_advice(changes, where, tmp_path):
    record = {"record": {"rounds": [1, 3]}}
    overrides = [each for each in TINY if not each.startswith("record")]
    done = run(small(*overrides, **{**record, **changes}), tmp_path)
    with pytest.raises(InputError) as refused:
        audited(done, "reconstruction", attacks=["first_layer"])
    assert refused.value.problems[0].where == where
    assert refused.value.problems[0].advice


def test_without_recordings_it_still_tells_who_could_solve_whom(tmp_path):
    done = run(small("rounds=2", "data.public=[]"), tmp_path)
    result = audited(done, "reconstruction").result()
    assert result["attacked"] is None
    assert "kept no messages" in result["unattacked"]
    assert result["plan"]["by_distance"][0]["solved"] == 8


def test_tokens_are_not_looked_for_in_images(pairs):
    with pytest.raises(InputError, match="tokens finds nothing to work on"):
        audit(pairs.path, ReconstructionAudit.Config(attacks=("tokens",)))


def told(pairs, monkeypatch, rounds):
    """The verdict on ``rounds`` of a run."""
    from auditing.reconstruction.report import section
    from simulator.results.audit_folder import AuditFolder

    monkeypatch.setattr(conduct.Conduct, "_rounds", rounds)
    audited(pairs, "reconstruction", attacks=["first_layer"])
    return section(AuditFolder(pairs.path / "audit/reconstruction")).verdict


def test_the_verdict_tells_of_the_worst_round_that_an_observer_computes_updates_of(pairs, monkeypatch):
    assert "from the exact ones of round 1: " in told(pairs, monkeypatch, [1, 3])
    alone = "from the exact ones of round 3, which none of these observers computes, but who sees all messages does"
    assert alone in told(pairs, monkeypatch, [3])


def test_where_no_attack_on_samples_was_tried_the_verdict_says_that(pairs):
    from auditing.reconstruction.report import section
    from simulator.results.audit_folder import AuditFolder

    audited(pairs, "reconstruction", attacks=["labels"])
    verdict = section(AuditFolder(pairs.path / "audit/reconstruction")).verdict
    assert "no attack on samples was tried, --attack first_layer is possible" in verdict


@pytest.mark.slow
def test_momentum_is_taken_out_of_the_second_round_of_a_run_by_means_of_the_first(tmp_path):
    momentum = ("training.optimizer.momentum=0.9", "topology.graph=complete", "record.rounds=[1,2]")
    done = run(small(*SINGLE[:-1], "training.precision=fp64", *momentum), tmp_path)
    exact = audited(done, "reconstruction", attacks=["first_layer"]).result()["attacked"]["together"]["first_layer"]
    assert exact["exact"]["2"]["verdict"] == "verbatim"


def test_the_report_shows_the_matrix_the_curve_and_the_pictures(pairs, found, command):
    audited(pairs, "reconstruction")
    from auditing.reconstruction.report import section
    from simulator.results.audit_folder import AuditFolder

    shown = section(AuditFolder(pairs.path / "audit/reconstruction"))
    kinds = [type(chart).__name__ for chart in shown.charts]
    assert kinds == ["LineChart", "HeatMap", "ImageGrid"]
    learned = [shown.charts[1].levels[int(level)] for level in shown.charts[1].values[0, 1:]]
    assert learned[1] == "only sums"
    assert {learned[0], learned[2]} <= {"samples identified", "verbatim"}
    assert len(shown.charts[2].captions) == len(shown.charts[2].images)
    assert shown.charts[2].captions[1].startswith("recovered, ")
    assert "first_layer" in shown.verdict


def test_a_plan_tells_who_could_solve_whom_before_anything_is_trained(tmp_path, command, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.yaml").write_text(
        json.dumps(
            {
                "name": "plan",
                "rounds": 5,
                "topology": {"graph": "ring", "nodes": 8},
                "data": {"dataset": "digits"},
                "model": "mlp",
            }
        )
    )
    assert command("audit", "experiment.yaml", "--audit", "reconstruction", "observers=pairs", "--out", "plan") == 0
    result = json.loads((tmp_path / "plan/result.json").read_text())
    assert len(result["plan"]["observers"]) == 28
    assert result["attacked"] is None
    assert (tmp_path / "plan/report.html").is_file()
    assert "can be computed exactly" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("quickstart",), "membership needs a run"),
     (("directed-pushsum-digits", "--audit", "reconstruction"), "declares no linear memory"),
     (("quickstart", "--audit", "reconstruction", "--attack", "labels"), "attacks need the messages of a run"),
     (("quickstart", "--audit", "reconstruction", "rounds=[1]"), "it says what is attacked in a run"),
     (("two.json", "--audit", "reconstruction", "observers=pairs"), "none but itself to learn of"),
     (("nowhere", "--audit", "reconstruction"), "is not a run directory")],
)  # fmt: skip
def test_plans_that_cannot_be_audited_are_refused(arguments, told, command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    two = {"name": "two", "rounds": 2, "topology": {"graph": "complete", "nodes": 2}, "data": {"dataset": "digits"}}
    (tmp_path / "two.json").write_text(json.dumps({**two, "model": "mlp"}))
    assert command("audit", *arguments) == 2
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.fixture
def command(monkeypatch):
    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["rumormill", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code

    return call


def test_what_gossip_averaging_gives_away_is_counted_of_a_plan(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    solved = []
    for steps in (1, 2, 3):
        assert command("audit", "ring-label-noise-digits", "--audit", "reconstruction", f"averaging={steps}") == 0
        plan = json.loads((tmp_path / "plan-audit/result.json").read_text())["plan"]
        solved.append(sum(count or 0 for count in plan["solved"][0]))
    assert solved == [2, 4, 6]


@pytest.mark.slow
def test_batches_that_were_drawn_empty_have_nothing_to_find(tmp_path):
    done = run(small(*SINGLE, "record.every=1", "record.rounds=[]", methods=[CLIPPED]), tmp_path)
    sizes = [len(Batches.of_node(done, node).of(round)) for node in range(4) for round in (1, 2, 3)]
    assert 0 in sizes
    result = audited(done, "reconstruction", attacks=["first_layer"], rounds=[1, 2, 3]).result()["attacked"]
    exact = result["together"]["first_layer"]["exact"]["all"]
    assert exact["samples"] == sum(sizes)
