"""A run that is stopped and resumed equals one that never stopped, to the last byte."""

import json
import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from reference.experiments import METHODS, At, results, small
from reference.marks import first
from safetensors.torch import load_file, save_file

from simulator import load_experiment, resume, run
from simulator.core.errors import InputError
from simulator.results.checkpoint import Checkpoints
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import audited

TESTS = Path(__file__).parents[2]
CHANGES = {
    "rounds": 8,
    "methods": METHODS,
    "checkpoint": {"every": 3, "keep": "all"},
    "record": {"rounds": [1, 3, 4, 7, 8]},
    "training": {"batch_size": 16, "precision": "fp64", "optimizer": {"lr": 0.3, "weight_decay": 0.01}},
}
LOCAL_MOMENTUM = {
    **CHANGES,
    "methods": [METHODS[1]],
    "training": {"batch_size": 16, "optimizer": {"lr": 0.1, "momentum": 0.9, "nesterov": True}},
    "data": {"augment": {"crop": 1}},
}


def interrupt(round):
    return At(round, lambda: signal.raise_signal(signal.SIGINT))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run that never stopped."""
    return run(small(**CHANGES), tmp_path_factory.mktemp("straight")).path


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run interrupted after round 5, with checkpoints of rounds 3 and 5."""
    return run(small(**CHANGES), tmp_path_factory.mktemp("kept"), [interrupt(4)]).path


@pytest.fixture
def stopped(kept, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(kept, tmp_path / "stopped"))


@pytest.mark.parametrize("last", first([2, 6, 0, 1, 3]))
def test_stopped_after_any_round_and_resumed(straight, tmp_path, last):
    """Round 2 is an exchange of labels, round 3 trains on them, round 6 is past the last checkpoint."""
    first = run(small(**CHANGES), tmp_path, [interrupt(last)])
    assert first.status == "interrupted"
    second = resume(first.path)

    assert second.status == "finished"
    assert results(first.path) == results(straight)


@pytest.mark.parametrize("number", first([signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM]))
def test_other_signals_leave_a_checkpoint_too(straight, tmp_path, number):
    """A closed terminal sends SIGHUP, a scheduler whose time runs out SIGUSR1."""
    before = signal.signal(number, signal.SIG_DFL)  # whoever started the tests may have it ignored
    try:
        stopped = run(small(**CHANGES), tmp_path, [At(4, lambda: signal.raise_signal(number))])
    finally:
        signal.signal(number, before)
    assert stopped.status == "interrupted"
    assert stopped.checkpoints.rounds() == [3, 5]
    resume(stopped.path)

    assert results(stopped.path) == results(straight)


def test_a_hangup_that_is_ignored_as_by_nohup_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        done = run(small(**CHANGES), tmp_path, [At(4, lambda: signal.raise_signal(signal.SIGHUP))])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert done.status == "finished"


def test_stopped_twice(straight, tmp_path):
    path = run(small(**CHANGES), tmp_path, [interrupt(1)]).path
    assert resume(path, observers=[interrupt(5)]).status == "interrupted"
    resume(path)

    assert results(path) == results(straight)


@pytest.mark.slow
def test_momentum_augmentation_and_single_precision_survive_too(tmp_path):
    changes = {key: value for key, value in LOCAL_MOMENTUM.items() if key != "data"}
    experiment = small("data.augment.crop=1", "data.augment.flip=true", **changes)
    whole = run(experiment, tmp_path / "whole").path
    path = run(experiment, tmp_path / "stopped", [interrupt(4)]).path
    resume(path)

    assert results(path) == results(whole)


@pytest.mark.slow
def test_methods_that_report_every_round_leave_their_lines_in_the_same_order(tmp_path):
    """Labels exchanged in every round: each reports something before and something after mixing."""
    methods = [{"name": "idkd", "first_round": 1, "every": 1, "threshold": 0.4}]
    whole = run(small(methods=methods), tmp_path / "whole").path
    path = run(small(methods=methods), tmp_path / "stopped", [interrupt(2)]).path
    resume(path)

    assert results(path) == results(whole)


@pytest.mark.slow
def test_resumed_with_another_number_of_workers(straight, stopped):
    file = stopped / "experiment.yaml"
    file.write_text(file.read_text().replace("workers: 1", "workers: 2"))
    resume(stopped)

    assert results(stopped) == results(straight)


def test_resumed_from_an_earlier_checkpoint(straight, stopped):
    resume(stopped, round=3)

    assert results(stopped) == results(straight)


def test_going_back_and_stopping_again_does_not_bring_the_abandoned_rounds_back(straight, tmp_path):
    """From the last round back to 3, interrupted after 4: the next resume continues at 4, not at the old end."""
    path = Path(shutil.copytree(straight, tmp_path / "run"))
    assert resume(path, round=3, observers=[interrupt(3)]).status == "interrupted"
    resume(path)

    assert RunDirectory(path).metrics()
    assert results(path) == results(straight)


def test_a_finished_run_stays_as_it_is(straight, tmp_path):
    path = Path(shutil.copytree(straight, tmp_path / "run"))
    again = resume(path)

    assert again.status == "finished"
    assert results(path) == results(straight)


def test_a_finished_run_resumed_has_its_models(straight, tmp_path):
    again = resume(shutil.copytree(straight, tmp_path / "run"))
    for node in again.nodes:
        saved = load_file(straight / "checkpoints" / "round-000008" / f"node-{node.id:04}.safetensors")
        assert torch.equal(node.parameters, saved["parameters"])


def test_what_was_written_after_the_checkpoint_is_cut_off(straight, stopped):
    for name in ("metrics.jsonl", "messages.arrow", "timing.jsonl"):
        with (stopped / name).open("a") as file:
            file.write('{"round": 99, "node": null, "name": "half a li')
    resume(stopped)

    assert results(stopped) == results(straight)


def test_a_half_written_checkpoint_is_not_seen(straight, stopped):
    draft = stopped / "checkpoints" / ".round-000007"
    draft.mkdir()
    (draft / "node-0000.safetensors").write_bytes(b"half")
    resume(stopped)

    assert results(stopped) == results(straight)


def child(out, action):
    """A process that runs the experiment into ``out`` and does ``action`` when round 4's messages are sent."""
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(TESTS)!r})
from reference.experiments import At, small
from simulator import run
def act():
    {action}
print(run(small(**{CHANGES!r}), {str(out)!r}, [At(4, act)]).status)
"""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.slow
def test_processes_stopped_by_ctrl_c_and_by_kill_9(straight, tmp_path):
    """Both at once, to save time: one is sent SIGINT from outside, one dies on the spot after the checkpoint of 3."""
    polite = child(tmp_path / "polite", "print('ready', flush=True); sys.stdin.readline()")
    killed = child(tmp_path / "killed", "os.kill(os.getpid(), signal.SIGKILL)")
    try:
        assert polite.stdout.readline() == "ready\n"
        polite.send_signal(signal.SIGINT)
        output, errors = polite.communicate("\n", timeout=600)
        assert (polite.returncode, output) == (0, "interrupted\n"), errors
        killed.communicate(timeout=600)
        assert killed.returncode == -signal.SIGKILL
    finally:
        for process in (polite, killed):
            process.kill()
            process.communicate()

    for name, rounds in (("polite", ["round-000003", "round-000005"]), ("killed", ["round-000003"])):
        (path,) = (tmp_path / name).iterdir()
        assert sorted(os.listdir(path / "checkpoints")) == rounds
        assert RunDirectory(path).metrics()
        resume(path)
        assert results(path) == results(straight)


def everything(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def truncate(folder):
    file = folder / "node-0002.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def garble(folder):
    (folder / "node-0001.safetensors").write_bytes(b"\xff" * 64)


def lose_a_node(folder):
    (folder / "node-0003.safetensors").unlink()


def lose_the_header(folder):
    (folder / "checkpoint.json").unlink()


def cut_the_header(folder):
    file = folder / "checkpoint.json"
    file.write_text(file.read_text()[:-20])


def edit_header(**changes):
    def damage(folder):
        file = folder / "checkpoint.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return damage


def edit_tensors(change):
    def damage(folder):
        file = folder / "node-0000.safetensors"
        tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
        change(tensors)
        save_file(tensors, file)

    return damage


def without_buffer(tensors):
    del tensors["methods.0/buffer"]


def without_stream(tensors):
    del tensors["training_set/stream"]


def of_another_size(tensors):
    tensors["parameters"] = tensors["parameters"][:-1].clone()


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def one_more_node(folder):
    shutil.copy(folder / "node-0000.safetensors", folder / "node-0004.safetensors")


def sealed(folder, damage):
    """Damaged by someone who writes the checksums anew."""
    damage(folder)
    files = [file for file in sorted(folder.iterdir()) if file.name != "SHA256SUMS"]
    sums = "".join(f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    (folder / "SHA256SUMS").write_text(sums)


DAMAGES = {
    "a truncated file": truncate,
    "a garbled file": garble,
    "a missing node": lose_a_node,
    "no header": lose_the_header,
    "half a header": cut_the_header,
    "another experiment": edit_header(experiment="0" * 32),
    "another format": edit_header(format=99),
    "another round": edit_header(round=7),
    "another round, and checksums that agree": lambda folder: sealed(folder, edit_header(round=7)),
    "a node too many, and checksums that agree": lambda folder: sealed(folder, one_more_node),
    "another number, of the same size": lambda folder: flip_a_bit(folder / "node-0000.safetensors"),
    "no checksums of a format that has them": lambda folder: (folder / "SHA256SUMS").unlink(),
    "too few nodes": edit_header(nodes=3),
    "no state of the engine": edit_header(engine={}),
    "no method's state": edit_tensors(without_buffer),
    "no stream": edit_tensors(without_stream),
    "a model of another size": edit_tensors(of_another_size),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_checkpoint_that_cannot_be_used_is_refused_and_nothing_is_lost(stopped, damage):
    folder = stopped / "checkpoints" / "round-000005"
    damage(folder)
    before = everything(stopped)
    with pytest.raises(InputError) as caught:
        resume(stopped)
    (problem,) = caught.value.problems

    assert problem.where == str(folder)
    assert problem.what
    assert "--round 3" in problem.advice
    assert everything(stopped) == before


def test_after_a_damaged_checkpoint_an_earlier_one_does(straight, stopped):
    truncate(stopped / "checkpoints" / "round-000005")
    resume(stopped, round=3)

    assert results(stopped) == results(straight)


def test_a_changed_experiment_is_refused(stopped):
    file = stopped / "experiment.yaml"
    file.write_text(file.read_text().replace("lr: 0.3", "lr: 0.2"))

    with pytest.raises(InputError, match="belongs to another experiment"):
        resume(stopped)


def test_a_round_without_a_checkpoint_is_answered_with_those_there_are(stopped):
    with pytest.raises(InputError, match=r"only of 3, 5.*\n.*--round"):
        resume(stopped, round=4)


def test_a_run_without_checkpoints_cannot_be_resumed(stopped):
    shutil.rmtree(stopped / "checkpoints")

    with pytest.raises(InputError, match="no checkpoint yet"):
        resume(stopped)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a run directory"):
        resume(tmp_path)


def test_data_that_have_moved_are_asked_back_and_a_link_will_do(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"x_{part}": rng.integers(0, 255, (80, 8, 8, 1), dtype=np.uint8) for part in ("train", "test")}
    (here := tmp_path / "here").mkdir()
    np.savez(here / "own.npz", **arrays, y_train=np.arange(80) % 3, y_test=np.arange(80) % 3)
    data = {"dataset": {"name": "npz", "path": "own.npz"}, "root": str(here), "partition": "iid", "held_out": 0.5}
    done = run(small("rounds=1", data=data), tmp_path / "runs")
    here.rename(there := tmp_path / "there")
    for again in lambda: resume(done.path), lambda: audited(done):
        with pytest.raises(
            InputError, match=r"data\.dataset\.path: there is no file(.|\n)*or a link to where they are now"
        ):
            again()
    here.symlink_to(there)
    assert audited(done).result()


def test_a_run_from_before_old_checkpoints_went_keeps_all_and_saves_as_often(tmp_path):
    done = run(small(checkpoint={"every": 2, "keep": "all"}), tmp_path)
    file = done.path / "experiment.yaml"
    content = yaml.safe_load(file.read_text())
    for setting in ("keep", "rounds"):
        del content["checkpoint"][setting]
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    resume(done.path, round=2)

    assert Checkpoints(done.path / "checkpoints", load_experiment(file).digest()).rounds() == [2, 4, 6]
