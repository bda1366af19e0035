"""Experiment files: what is accepted, and that every mistake is named with its place and its remedy."""

import os
from io import BytesIO, TextIOWrapper
from threading import Thread

import pytest
from reference.experiments import SMALL, small

from simulator import load_experiment
from simulator.config.recipe_files import recipes
from simulator.config.slots import SLOTS
from simulator.core.errors import InputError

GOOD = """\
name: good
rounds: 3
topology: {graph: ring, nodes: 4}
data:
  dataset: digits
  partition: {name: dirichlet, alpha: 1.0}
model: mlp
training:
  local_steps: 1
  optimizer: {lr: 1e-2}
methods:
  - {name: quasi_global_momentum}
"""


@pytest.fixture
def write(tmp_path):
    def _write(text):
        file = tmp_path / "experiment.yaml"
        file.write_text(text)
        return file

    return _write


def problems(*arguments):
    with pytest.raises(InputError) as caught:
        load_experiment(*arguments)
    assert all(problem.where and problem.what and problem.advice for problem in caught.value.problems)
    return caught.value.problems


def the_problem(*arguments):
    (problem,) = problems(*arguments)
    return problem


def test_short_names_and_defaults_are_filled_in(write):
    experiment = load_experiment(write(GOOD))
    assert experiment.model.name == "mlp"
    assert experiment.mixer.name == "gossip"
    assert experiment.backend.name == "local"
    assert experiment.training.optimizer.lr == 0.01  # PyYAML reads 1e-2 as text


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_is_valid_and_survives_being_resolved(name):
    experiment = load_experiment(name)
    assert experiment.name == name
    assert experiment.description
    assert load_experiment(experiment.to_dict()) == experiment
    assert load_experiment(experiment.to_dict()).digest() == experiment.digest()


def test_overrides_reach_nested_settings_lists_and_short_names(write):
    changes = ["rounds=7", "methods.0.beta=0.5", "model.hidden=[3, 4]", "training.schedule.warmup=2", "methods.0.mu=0"]
    experiment = load_experiment(write(GOOD), changes)
    assert experiment.rounds == 7
    assert (experiment.methods[0].beta, experiment.methods[0].mu) == (0.5, 0.0)
    assert experiment.model.hidden == (3, 4)
    assert experiment.training.schedule.warmup == 2


def test_the_digest_tells_results_apart_and_nothing_else(write):
    digest = load_experiment(write(GOOD)).digest()
    assert load_experiment(write(GOOD), ["backend.workers=2", "checkpoint.every=1"]).digest() == digest
    assert load_experiment(write(GOOD), ["seed=1"]).digest() != digest
    assert load_experiment(write(GOOD), ["methods.0.beta=0.5"]).digest() != digest


def test_an_unknown_setting_names_line_and_nearest(write):
    problem = the_problem(write(GOOD.replace("local_steps", "local_step")))
    assert problem.where == "experiment.yaml:9: training.local_step"
    assert "Did you mean 'local_steps'?" in problem.advice


def test_an_unknown_setting_of_a_part_names_the_part(write):
    problem = the_problem(
        write(GOOD.replace("{name: quasi_global_momentum}", "{name: quasi_global_momentum, betta: 1}"))
    )
    assert problem.where == "experiment.yaml:12: methods[0].betta"
    assert problem.what == "quasi_global_momentum has no setting 'betta'."
    assert "Did you mean 'beta'?" in problem.advice


@pytest.mark.parametrize(
    ("change", "where", "advice"),
    [
        ("model=mlpp", "model.name", "Did you mean 'mlp'?"),
        ("data.dataset=digit", "data.dataset.name", "Did you mean 'digits'?"),
        ("methods.0=idkdd", "methods[0].name", "Did you mean 'idkd'?"),
        ("data.partition=dirichlett", "data.partition.name", "Did you mean 'dirichlet'?"),
        ("mixer=gosip", "mixer.name", "Did you mean 'gossip'?"),
        ("backend=loca", "backend.name", "Did you mean 'local'?"),
        ("topology.graph=rng", "topology.graph", "ring"),
        ("topology.weights=metropolis", "topology.weights", "metropolis_hastings"),
        ("topology.nodess=3", "topology.nodess", "nodes"),
        ("topology.graph=torus topology.rows=3", "topology.rows", ""),
        ("topology.nodes=-1", "topology.nodes", "Correct"),
        ("data.partition.alpha=0", "data.partition.alpha", "Correct"),
        ("data.partition.alpha=-1", "data.partition.alpha", "Correct"),
        ("rounds=many", "rounds", "Correct"),
        ("training.optimizer.lr=.inf", "training.optimizer.lr", "Correct"),
        ("training.optimizer={lr: 0.1, nesterov: true}", "training.optimizer", "Correct"),
        ("training.schedule.milestones=[30]", "training.schedule", "Correct"),
        ("data.validation=1.5", "data.validation", "Correct"),
        ("name=a/b", "name", "Correct"),
        ("training.optimizer.momentum=0.9", "methods[0]", "training.optimizer.momentum: 0"),
        ("methods=[{name: idkd, first_round: 2}]", "methods[0]", "data.public"),
        ("methods=[{first_round: 2}]", "methods[0]", "Known methods: correlated_noise"),
    ],
)
def test_each_mistake_is_named_where_it_stands(write, change, where, advice):
    found = problems(write(GOOD), change.split(" ") if " topology" in change else [change])
    assert any(problem.where.rpartition(": ")[2] == where and advice in problem.advice for problem in found), found


def test_idkd_that_would_never_run_is_refused(write):
    changes = ["data.public={dataset: photo_patches, samples: 10}", "methods.0={name: idkd, first_round: 4}"]
    problem = the_problem(write(GOOD), changes)
    assert problem.where.endswith("methods[0].first_round")
    assert "at most 3" in problem.advice


def test_idkd_without_validation_data_is_refused_unless_its_threshold_is_fixed(write):
    changes = ["data.validation=0", "data.public={dataset: photo_patches, samples: 10}"]
    assert "data.validation" in the_problem(write(GOOD), [*changes, "methods.0={name: idkd, first_round: 2}"]).advice
    load_experiment(write(GOOD), [*changes, "methods.0={name: idkd, first_round: 2, threshold: 0.9}"])


@pytest.mark.parametrize("method", ["gradient_tracking", "d2"])
@pytest.mark.parametrize(("own", "refused"), [("{lr: 0.2}", 1), ("{local_steps: 3}", 1), ("{batch_size: 3}", 0)])
def test_exact_methods_need_equal_steps_at_all_nodes(write, method, own, refused):
    changes = [f"methods=[{method}]", "topology.weights=lazy", f"training.nodes={{1: {own}}}"]
    if refused:
        assert "training.nodes" in the_problem(write(GOOD), changes).advice
    else:
        load_experiment(write(GOOD), changes)


def test_what_needs_column_sums_refuses_links_that_fail_one_way(write):
    changes = ["topology.failures={links: 0.2, symmetric: false}", "methods=[]"]
    assert "weights: push" in the_problem(write(GOOD), [*changes, "mixer=push_sum"]).advice
    load_experiment(write(GOOD), [*changes, "mixer=push_sum", "topology.weights=push"])
    tracking = [changes[0], "methods=[gradient_tracking]"]
    assert "symmetric: true" in the_problem(write(GOOD), tracking).advice
    load_experiment(write(GOOD), [*tracking, "topology.failures.symmetric=true"])


def test_all_mistakes_are_reported_at_once(write):
    text = GOOD.replace("rounds: 3", "rounds: x").replace("model: mlp", "model: {name: cnn, widht: 3}")
    found = problems(write(text.replace("alpha: 1.0", "alpha: 0")))
    assert {problem.where.split(": ")[1] for problem in found} == {"rounds", "model.widht", "data.partition.alpha"}


def test_missing_settings_are_named(write):
    found = problems(write("name: x\n"))
    assert {problem.where.split(": ")[-1] for problem in found} == {"rounds", "topology", "data", "model"}
    assert all(problem.what == "is missing." for problem in found)


def test_duplicate_keys_are_refused_with_both_lines(write):
    problem = the_problem(write(GOOD + "rounds: 4\n"))
    assert problem.where == "experiment.yaml:13: rounds"
    assert "first on line 2" in problem.what


@pytest.mark.parametrize("text", ["a: [1", "- just\n- a list\n", "", "\x00"])
def test_what_is_no_experiment_is_refused(write, text):
    the_problem(write(text))


def test_a_file_that_is_not_there_suggests_recipes():
    assert "Did you mean 'quickstart'?" in the_problem("quikstart").advice


@pytest.mark.parametrize("override", ["rounds", "=3", "rounds.x=1", "methods.7.beta=1", "methods.x=1", "rounds=[1"])
def test_a_malformed_override_is_refused(write, override):
    the_problem(write(GOOD), [override])


def test_a_disconnected_graph_file_is_refused_before_anything_runs(write, tmp_path):
    (tmp_path / "two.edges").write_text("0 1\n2 3\n")
    problem = the_problem(write(GOOD), [f"topology={{graph: from_file, path: {tmp_path / 'two.edges'}}}"])
    assert "connected" in problem.what


def test_a_self_loop_in_a_graph_file_is_refused(write, tmp_path):
    (tmp_path / "loop.edges").write_text("0 1\n1 1\n")
    problem = the_problem(write(GOOD), [f"topology={{graph: from_file, path: {tmp_path / 'loop.edges'}}}"])
    assert "links node 1 to itself" in problem.what


def test_a_part_whose_package_is_broken_says_so(declare, write):
    declare("models", "broken", "import gone_from_here")
    problem = the_problem(write(GOOD.replace("model: mlp", "model: broken")))
    assert "No module named 'gone_from_here'" in problem.what


def test_a_strangers_method_is_found_like_our_own(register, write):
    from simulator.core.method import Method
    from simulator.core.registry import PartSettings

    class Stranger(Method):
        """A method from elsewhere."""

        class Config(PartSettings):
            strength: float = 1.0

    register("methods", "stranger", Stranger)
    experiment = load_experiment(write(GOOD), ["methods.0={name: stranger, strength: 2}"])
    assert experiment.methods[0].strength == 2.0


def test_every_slot_of_a_part_is_reached():
    content = {**SMALL, "methods": ["quasi_global_momentum"]}
    content["data"] = {**SMALL["data"], "public": {"dataset": "photo_patches", "samples": 5}}
    content["data"]["corruption"] = {"labels": {"name": "pair", "rate": 0.1}}
    content["adversaries"] = [{"nodes": [0], "attack": "silent"}]
    resolved = load_experiment(content).to_dict()
    for pattern in SLOTS:
        value = resolved
        for key in pattern:
            value = value[0] if key == "*" else value[key]
        assert value["name"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("seed=010", "seed"),
        ("seed=008", "seed"),
        ("seed=yes", "seed"),
        ("rounds=on", "rounds"),
        ("training.optimizer.lr=true", "training.optimizer.lr"),
        ("model.hidden=[010]", "model.hidden"),
        ("model.hidden=[yes]", "model.hidden"),
        ("training.nodes={010: {lr: 1}}", "training.nodes"),
        ("topology.nodes=04", "topology.nodes"),
        ("topology.schedule={name: random_regular, degree: 02}", "topology.degree"),
        ('description="\\ud800"', "description"),
        (f"name={'x' * 300}", "name"),
        (f"seed={10**40}", "seed"),
    ],
)
def test_values_that_hardly_mean_what_they_would_be_converted_to_are_refused(write, change, where):
    assert the_problem(write(GOOD), [change]).where.endswith(where)


def test_yes_is_true_and_leading_zeros_are_text_where_these_fit(write):
    experiment = load_experiment(write(GOOD), ["training.optimizer.nesterov=no", "description=010"])
    assert (experiment.training.optimizer.nesterov, experiment.description) == (False, "010")


def test_a_pipe_and_standard_input_are_read(write, monkeypatch, tmp_path):
    wanted = load_experiment(write(GOOD))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=(GOOD,))
    writer.start()
    assert load_experiment(pipe) == wanted
    writer.join()
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"\xef\xbb\xbf" + GOOD.encode())))
    assert load_experiment("-") == wanted


def test_problems_of_standard_input_have_lines(monkeypatch):
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(GOOD.replace("rounds: 3", "rounds: 03").encode())))
    assert the_problem("-").where == "standard input:2: rounds"


def test_a_file_that_is_no_text_is_refused_with_its_line(write):
    file = write(GOOD)
    file.write_bytes(b"name: a\nrounds: \xff\n")
    assert the_problem(file).where == "experiment.yaml:2"


@pytest.mark.parametrize("name", ["~nouser", "x" * 300, "\udcff"])
def test_a_name_that_no_file_can_have_is_refused(name):
    the_problem(name)


def test_more_rounds_than_can_be_recorded_are_refused(write):
    assert the_problem(write(GOOD), [f"rounds={10**18}", "record.every=1"]).where.endswith("record.every")


def test_settings_that_counted_rounds_from_0_are_read_as_what_they_are_now_and_told():
    ring = {"graph": "ring", "nodes": 4}
    older = {"methods": [{"name": "idkd", "start_round": 2}], "topology": ring | {"failures": {"away": [[1, 0, 3]]}}}
    with pytest.warns(FutureWarning) as told:
        read = small(**older)
    newer = {
        "methods": [{"name": "idkd", "first_round": 3}],
        "topology": ring | {"failures": {"absences": [[1, 1, 4]]}},
    }
    assert read == small(**newer)
    assert [str(each.message).split()[0] for each in told] == ["methods[0].start_round", "topology.failures.away"]
    assert "2 was read as first_round: 3" in str(told[0].message)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"adversaries": [{"nodes": 3, "attack": "sign_flip"}]}, r"adversaries\[0\].nodes"),
        ({"record": {"rounds": 3}}, "record.rounds"),
        ({"model": {"name": "mlp", "hidden": 3}}, "model.hidden"),
    ],
)
def test_one_value_where_a_list_belongs_is_told_how_to_be_one(changes, where):
    with pytest.raises(InputError, match=rf"{where}: is to be a list, and 3 is none.\n    Write \[3\]."):
        small(**changes)


def test_what_an_override_has_set_is_not_said_to_stand_in_the_file(write):
    path = write(GOOD)
    for override, where in (
        ("training.batch_size=-3", "training.batch_size"),
        ("training={batch_size: -3}", "training.batch_size"),
        ("model={name: mlp, hiden: [3]}", "model.hiden"),
    ):
        with pytest.raises(InputError) as caught:
            load_experiment(path, [override])
        assert [problem.where for problem in caught.value.problems] == [where]
    with pytest.raises(InputError) as caught:
        load_experiment(write(GOOD.replace("rounds:", "round:")), ["seed=1"])
    assert any(problem.where.endswith("round") and ":" in problem.where for problem in caught.value.problems)


def test_of_an_empty_list_no_place_can_be_named(write):
    problem = the_problem(write(GOOD), ["methods=[]", "methods.0.beta=1"])
    assert problem.advice == "Give the list as a whole, methods=[...]: it is empty."


@pytest.mark.parametrize(
    ("given", "told"),
    [(None, r"nothing is none.\n    Write \[\]"), ({"name": "d2"}, r"a block is none.\n    Put it")],
)
def test_what_is_no_value_where_a_list_belongs_is_told_too(given, told):
    with pytest.raises(InputError, match=rf"methods: is to be a list, and {told}"):
        small(methods=given)
