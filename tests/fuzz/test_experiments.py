"""Experiments made wrong at random: each runs or is refused by name; nothing else is raised, nothing hangs."""

import copy
import random
from contextlib import suppress

import pytest
import yaml
from reference.experiments import SMALL
from reference.fuzzing import judge

from simulator import load_experiment, run
from simulator.core.errors import InputError
from simulator.core.registry import Registry
from simulator.sweep import load_sweep

LIKELY = (None, True, False, 0, 1, 2, 3, 0.5, 0.1, 1.5)  # many a setting can have these
STRANGE = (
    *(7, -1, -0.1, 1e-300, 1e300, float("nan"), float("inf"), 10**18, -(10**18)),
    *("", "x", "010", "yes", "1e3", "ring", "~nobody", "\0", "\udcff", "[bold]", "a" * 5000, "../..", "{{seed}}"),
    *([], [0], [1, 2], ["x"], [[]], [None], {}, {"name": "x"}, {"name": "gossip"}, {"x": 1}, [{"name": "d2"}] * 2),
)
MORE = {
    "topology": [
        {"graph": "torus", "nodes": 4, "rows": 2},
        {"graph": "exponential", "nodes": 4, "weights": "push"},
        {"graph": "complete", "nodes": 4, "schedule": "random_matching"},
        {"graph": "chain", "nodes": 3, "failures": {"links": 0.2, "nodes": 0.1, "absences": [[1, 1, 3]]}},
    ],
    "mixer": [
        "gossip",
        "push_sum",
        "relay_sum",
        "ada_gossip",
        {"name": "choco", "compression": {"name": "top_k", "keep": 0.2}},
    ],
    "methods": [
        [{"name": "quasi_global_momentum"}, {"name": "idkd", "first_round": 3, "every": 2}],
        [{"name": "dp_sgd", "noise_multiplier": 1.0, "max_epsilon": 9.0}],
        [{"name": "ltc"}, {"name": "trajectories"}],
        [{"name": "trend", "bits": [1, 2, None]}],
        [{"name": "gradient_tracking"}, {"name": "mixup"}],
        [{"name": "saddle"}, {"name": "quasi_global_momentum"}],
        [{"name": "global_update_tracking", "mu": 0.1, "beta": 0.5}],
    ],
    "clock": [{"step_seconds": 0.01, "speed_spread": 0.5, "latency": 0.002, "bandwidth": 1e6}],
    "record": [{"every": 2}, {"rounds": [1, 3]}],
    "checkpoint": [{"every": 2}],
    "mode": ["asynchronous", "synchronous"],
}


def base(rng):
    """A small experiment that runs, of which one or two blocks are others."""
    while True:
        content = copy.deepcopy(dict(SMALL))
        for block in rng.sample(sorted(MORE), rng.randint(1, 2)):
            content[block] = copy.deepcopy(rng.choice(MORE[block]))
        with suppress(InputError):
            load_experiment(copy.deepcopy(content))
            return content


def value(rng):
    """Something for a setting."""
    return copy.deepcopy(rng.choice(LIKELY if rng.random() < 0.6 else STRANGE))


def places(content, path=()):
    """Every place in nested blocks and lists, as keys from the outside in."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def damaged(rng):
    """An experiment with one to three things replaced, removed, renamed or added."""
    content = base(rng)
    for _ in range(rng.randint(1, 2)):
        *outer, key = rng.choice(list(places(content)))
        block = content
        for step in outer:
            block = block[step]
        match rng.choice(("replace", "replace", "remove", "rename", "add")):
            case "replace":
                block[key] = value(rng)
            case "remove":
                del block[key]
            case "rename" if isinstance(block, dict):
                block[rng.choice((f"{key}s", str(key).upper(), 3, None, ""))] = block.pop(key)
            case "add" if isinstance(block, dict):
                block[rng.choice(("name", "nodes", "every", "x"))] = value(rng)
    return content


def garbled(text, rng):
    """Text with a few of its characters replaced, doubled or taken away."""
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(len(text))
        new = rng.choice(
            ("", "\t", ":", "{", "]", "&a", "*a", "!!python/object:os.system ", "%", "\x00", "0", "é", "\n", '"')
        )
        text = text[:place] + new + text[place + rng.randint(0, 2) :]
    return text


few_or_many = pytest.mark.parametrize(
    ("first", "count"),
    [(0, 12), pytest.param(1000, 400, marks=[pytest.mark.slow, pytest.mark.exhaustive])],
    ids=["few", "many"],
)


@few_or_many
def test_a_damaged_experiment_runs_or_is_refused_by_name(tmp_path, first, count):
    def examples():
        for seed in range(first, first + count):
            content = damaged(random.Random(seed))
            yield f"seed {seed}: {content}", lambda content=content: run(load_experiment(content), tmp_path)

    judge(examples())


@few_or_many
def test_a_garbled_file_runs_or_is_refused_by_name(tmp_path, first, count):
    def examples():
        for seed in range(first, first + count):
            rng, file = random.Random(seed), tmp_path / f"{seed}.yaml"
            file.write_text(garbled(yaml.safe_dump(base(rng), sort_keys=False), rng), encoding="utf-8")
            yield f"seed {seed}: {file.read_text()}", lambda file=file: run(load_experiment(file), tmp_path / "runs")

    judge(examples())


@few_or_many
def test_overrides_at_random_run_or_are_refused_by_name(tmp_path, first, count):
    def examples():
        for seed in range(first, first + count):
            rng = random.Random(seed)
            content = base(rng)
            paths = [".".join(map(str, place)) for place in places(content)]
            text = yaml.safe_dump(value(rng), allow_unicode=True) if rng.random() < 0.8 else rng.choice("{*!&")
            override = f"{rng.choice(paths)}{rng.choice(('', '', '', '.x', '.0'))}={text.strip().removesuffix('...')}"
            action = lambda content=content, override=override: run(load_experiment(content, [override]), tmp_path)  # noqa: E731
            yield f"seed {seed}: {override!r} on {content}", action

    judge(examples())


@few_or_many
def test_a_garbled_sweep_is_read_or_refused_by_name(tmp_path, first, count):
    sweep = {"experiment": dict(SMALL), "seeds": [0, 1], "grid": {"training.optimizer.lr": [0.1, 0.2]}}
    sweep["arms"] = {"plain": {}, "momentum": {"training.optimizer.momentum": 0.9}}

    def examples():
        for seed in range(first, first + count):
            rng, file = random.Random(seed), tmp_path / f"{seed}.yaml"
            file.write_text(garbled(yaml.safe_dump(sweep, sort_keys=False), rng), encoding="utf-8")
            yield f"seed {seed}: {file.read_text()}", lambda file=file: load_sweep(file)

    judge(examples())


def test_the_fuzzer_notices_what_should_not_be_raised(monkeypatch):
    monkeypatch.setattr(Registry, "load", lambda self, name: 1 / 0)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        judge([("an example", lambda: load_experiment(dict(SMALL)))])
