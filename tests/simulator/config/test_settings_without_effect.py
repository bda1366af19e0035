"""A setting that cannot act under the others is an error where somebody chose it, and only there."""

import pytest
from reference.experiments import small

from simulator import load_experiment, run
from simulator.config.parsing import load_part
from simulator.core.acting import idle
from simulator.core.backend import BACKENDS
from simulator.core.errors import InputError
from simulator.core.method import METHODS
from simulator.core.mixer import MIXERS
from simulator.core.model_registry import MODELS
from simulator.core.registry import Part
from simulator.data.dataset import DATASETS
from simulator.data.partition import PARTITIONS
from simulator.runs.audit import AUDITS
from simulator.runs.run import Run
from simulator.sweep.plan import load_sweep

REGISTRIES = (METHODS, MIXERS, MODELS, BACKENDS, DATASETS, PARTITIONS, AUDITS)
IDLE = [
    ({"methods": [{"name": "idkd", "first_round": 2, "tpr": 0.9}]}, "methods[0].tpr", "threshold: youden"),
    ({"methods": [{"name": "idkd", "first_round": 2, "nearest": 3}]}, "methods[0].nearest", "detector: msp"),
    ({"methods": [{"name": "idkd", "first_round": 2, "labels": "forwarded"}]}, "methods[0].labels", "every: null"),
    ({"methods": [{"name": "ltc", "after": 3}]}, "methods[0].after", "use: report"),
    ({"methods": [{"name": "ltc", "use": "drop", "after": 3, "share": 0.5}]}, "methods[0].share", "use: drop"),
    ({"methods": [{"name": "ltc", "hardest": 0.1}]}, "methods[0].hardest", "score: ltc"),
    ({"methods": [{"name": "trajectories", "every": 2}]}, "methods[0].every", "mode: byproduct, validation: false"),
    ({"data": {"corruption": {"validation": "noisy"}}}, "data.corruption.validation", "labels: null"),
    ({"data": {"public": [], "public_overlap": "allow"}}, "data.public_overlap", "public: []"),
    ({"training": {"schedule": {"gamma": 0.5}}}, "training.schedule.gamma", "milestones: []"),
    ({"model": {"name": "resnet20", "norm": "evonorm", "groups": 4}}, "model.groups", "norm: evonorm"),
    ({"model": {"name": "resnet20", "allow_batch_norm": True}}, "model.allow_batch_norm", "norm: group"),
]


def merged(changes):
    content = small().to_dict()
    for block, given in changes.items():
        content[block] = {**content[block], **given} if block in ("data", "training") else given
    return content


@pytest.mark.parametrize(("changes", "where", "under"), IDLE)
def test_it_is_named_with_what_stops_it(changes, where, under):
    with pytest.raises(InputError) as caught:
        load_experiment(merged(changes))

    (problem,) = caught.value.problems
    assert (problem.where, problem.what) == (where, f"has no effect with {under}.")
    assert problem.advice.endswith(f"or leave {where.split('.')[-1]} out.")


def test_the_line_is_told_and_every_one_of_them(tmp_path):
    file = tmp_path / "e.yaml"
    small().to_yaml()
    file.write_text(load_experiment(merged({})).to_yaml().replace("gamma: 0.1", "gamma: 0.2"))
    with pytest.raises(InputError, match=r"e.yaml:\d+: training.schedule.gamma: has no effect with milestones: \[\]"):
        load_experiment(file)


def test_audits_settings_are_looked_at_too():
    for name, given, under in (
        ("robustness", {"attacks": ["pgd"], "queries": 9}, r"queries: has no effect with attacks: \[pgd\]"),
        ("memorization", {"attacks": ["trajectories"], "signals": ["loss"]}, "signals: has no effect"),
        ("memorization", {"attacks": ["final_loss"], "replicas": 4}, "replicas: has no effect"),
    ):
        with pytest.raises(InputError, match=under):
            load_part(AUDITS, {"name": name, **given})


def test_defaults_that_are_written_out_are_never_told():
    experiment = load_experiment(merged({"methods": [{"name": "idkd", "first_round": 2}, {"name": "ltc"}]}))

    assert load_experiment(experiment.to_dict()) == experiment


def test_what_an_override_made_idle_is_let_be_and_what_it_chose_is_not():
    base = merged({"methods": [{"name": "idkd", "first_round": 2, "threshold": "tpr", "tpr": 0.9}]})

    assert load_experiment(base, ["methods.0.threshold=youden"]).methods[0].tpr == 0.9
    with pytest.raises(InputError, match=r"methods\[0\].tpr: has no effect"):
        load_experiment(base, ["methods.0.threshold=youden", "methods.0.tpr=0.8"])
    with pytest.raises(InputError, match=r"methods\[0\].nearest: has no effect"):
        load_sweep({"experiment": base, "grid": {"methods.0.nearest": [3, 4]}})


def test_a_run_that_had_one_is_read_as_before(tmp_path):
    """Runs from before settings were looked at; all that opens them says that they are recorded."""
    done = run(small(methods=[]), tmp_path)
    file = done.path / "experiment.yaml"
    file.write_text(file.read_text().replace("gamma: 0.1", "gamma: 0.2"))

    assert load_experiment(done.directory.experiment, recorded=True).training.schedule.gamma == 0.2
    assert Run(done.directory, "finished").blueprint.topology.num_nodes == 4
    with pytest.raises(InputError, match=r"gamma: has no effect"):
        load_experiment(file)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_what_parts_declare_are_settings_that_they_have(registry):
    for name in registry.names():
        part: type[Part] = registry.load(name)
        for base in part.Config.__mro__:
            for setting, condition in vars(base).get("acts", {}).items():
                assert {setting, *condition.others} <= set(part.Config.model_fields)
                assert not part.Config.model_fields[setting].is_required()
                fields = {other: part.Config.model_fields[other] for other in condition.others}
                assert condition.problem(
                    setting, part.Config.model_construct(**{n: f.default for n, f in fields.items()})
                )


def test_neutral_settings_of_every_method_act():
    for name in METHODS.names():
        method = METHODS.load(name)
        required = {"first_round": 2} if name == "idkd" else {"noise_multiplier": 1.0} if name.endswith("dp") else {}
        required |= {"noise_multiplier": 1.0} if name == "dp_sgd" else {}
        settings = method.Config.model_validate({"name": name, **required, **(method.neutral or {})})
        assert not list(idle(settings)), name
