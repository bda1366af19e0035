"""Run an experiment into a run directory, continue one that was stopped, or branch off from one."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.config.consistency import check_consistent
from simulator.config.experiment import Experiment
from simulator.core import atomic
from simulator.core.backend import Backend
from simulator.core.blame import blaming_parts
from simulator.core.errors import RunError, wrong
from simulator.core.observer import Observer
from simulator.core.report import STATISTICS
from simulator.results.checkpoint import Checkpoints
from simulator.results.console import Console
from simulator.results.lock import locked
from simulator.results.provenance import provenance
from simulator.results.recorder import Recorder
from simulator.results.run_directory import RunDirectory
from simulator.rounds.engine import Engine
from simulator.runs.build import Simulation
from simulator.runs.run import Run, check_complete, checkpoints_of, experiment_of, simulation_of


@blaming_parts()
def run(experiment: Experiment, out: str | Path = "runs", observers: Sequence[Observer] | None = None) -> Run:
    """Run ``experiment`` into a new directory under ``out``.

    Args:
        experiment: what to run.
        out: the folder of run directories.
        observers: who looks on; by default, in a notebook, a `Console` that shows how it gets on, and else nobody.

    Raises:
        InputError: something is wrong with the data or the place to write to; nothing was computed.
        RunError: the run could not go on; what it wrote stays readable.
    """
    check_consistent(experiment)
    return run_simulation(Simulation.of(experiment), out, observers_of(observers))


@blaming_parts()
def run_simulation(simulation: Simulation, out: str | Path = "runs", observers: Sequence[Observer] = ()) -> Run:
    """Run ``simulation``, whatever its backend, into a new directory under ``out``.

    Raises:
        InputError: it cannot be started, or the directory cannot be written; nothing was computed.
        RunError: the run could not go on; what it wrote stays readable.
    """
    with simulation.started(), _new_directory(simulation, Path(out)) as directory:
        checkpoints = checkpoints_of(directory, simulation.experiment)
        return _run(simulation, directory, checkpoints, [Recorder(directory.path), *observers])


def observers_of(given: Sequence[Observer] | None) -> Sequence[Observer]:
    """Those that are ``given``; where nothing is said, in a notebook one that shows how the run gets on."""
    if given is not None:
        return given
    return [Console()] if "ipykernel" in sys.modules else []


@contextmanager
def _new_directory(simulation: Simulation, out: Path) -> Iterator[RunDirectory]:
    """A run directory that this process alone writes into; it is seen when all is there that a run begins with."""
    draft = _drafted(simulation, out)
    with locked(draft.path):
        yield draft.named(simulation.experiment.name, simulation.experiment.seed)


def _drafted(simulation: Simulation, out: Path) -> RunDirectory:
    draft = RunDirectory.draft(out)
    try:
        simulation.room.check(draft.path)
        simulation.experiment.user_parts.keep(draft.path)
        atomic.write(draft.path / "experiment.yaml", simulation.experiment.to_yaml())
        draft.write_json("topology.json", simulation.network.base.named(simulation.data.sites).to_json())
        if simulation.data.statistics:
            atomic.write(draft.path / STATISTICS, simulation.data.statistics.to_json())
        simulation.data.save_partition(draft.path / "partition.npz")
    except OSError as error:
        what = f"{draft.path} cannot be written: {error.strerror}."
        raise wrong("--out", what, "Free some space, or choose another folder with --out.") from error
    finally:
        if not (draft.path / "partition.npz").exists():  # it is written last
            shutil.rmtree(draft.path, ignore_errors=True)
    return draft


@blaming_parts()
def resume(path: str | Path, round: int | None = None, observers: Sequence[Observer] | None = None) -> Run:
    """Continue the run at ``path``, from its last checkpoint or that of ``round``, as if it had never stopped.

    Going back to an earlier ``round`` gives up what came after it.

    Raises:
        InputError: there is no run there, or no checkpoint that can be used; nothing was changed.
        RunError: the run could not go on.
    """
    directory = RunDirectory.open(Path(path))
    check_complete(directory)
    experiment = experiment_of(directory)
    if "keep" not in directory.experiment.get("checkpoint", {}):  # of an earlier version, which kept all
        all_of_them = experiment.checkpoint.model_copy(update={"keep": "all"})
        experiment = experiment.model_copy(update={"checkpoint": all_of_them})
    with locked(directory.path):
        checkpoints = checkpoints_of(directory, experiment)
        chosen = checkpoints.choose(round)
        simulation = simulation_of(directory, experiment)
        with simulation.started():
            return _run(
                simulation, directory, checkpoints, [Recorder(directory.path), *observers_of(observers)], chosen
            )


def run_networks(
    experiment: Experiment,
    seeds: Sequence[int],
    path: Path,
    checkpoints: Checkpoints,
    observers: Sequence[Observer],
    notes: Sequence[str] = (),
) -> str:
    """Run ``experiment`` once for each of ``seeds``, all networks as one simulation, as `carry_on` does.

    ``partition.npz`` in the folder ``path`` tells which sample is where, and observers are told ``notes``. Returns how
    it ended.

    Raises:
        InputError: it cannot be started, or the checkpoint cannot be used.
        RunError: the run could not go on.
    """
    simulation = Simulation.of(experiment, seeds)
    simulation.data.save_partition(path / "partition.npz")
    simulation.data = replace(simulation.data, notes=(*simulation.data.notes, *notes))
    return carry_on(simulation, path, checkpoints, observers)


def carry_on(simulation: Simulation, path: Path, checkpoints: Checkpoints, observers: Sequence[Observer]) -> str:
    """Run ``simulation`` in the folder ``path``, from the last of its ``checkpoints`` if there is one.

    Of what happens, only ``observers`` keep a record. Returns how it ended: "finished" or "interrupted".

    Raises:
        InputError: it cannot be started, or the checkpoint cannot be used.
        RunError: the run could not go on.
    """
    with simulation.started():
        return _run(simulation, RunDirectory(path), checkpoints, observers, max(checkpoints.rounds(), default=0)).status


@blaming_parts()
def branch(
    path: str | Path, round: int, experiment: Experiment, out: str | Path = "runs", observers: Sequence[Observer] = ()
) -> Run:
    """Run ``experiment`` into a new directory under ``out``, its first rounds taken from the run at ``path``.

    The two may differ in their methods alone, and it is for the caller to know that these do nothing different in the
    first ``round`` rounds; then the result is, bit for bit, that of `run`, in less time.

    Raises:
        InputError: the two differ in more, or that run has no such checkpoint; nothing was computed.
        RunError: the run could not go on.
    """
    trunk = RunDirectory.open(Path(path))
    check_complete(trunk)
    theirs = experiment_of(trunk)
    if differing := sorted(set(_apart_from_methods(theirs)) ^ set(_apart_from_methods(experiment))):
        what = f"differs from {trunk.path} in {differing[0][0]}, so that it cannot share its first rounds."
        raise wrong("the experiment", what, "Let the two differ in their methods alone, or run it from the start.")
    shared = Checkpoints(trunk.path / "checkpoints", theirs.digest())
    with shared.refusing(shared.choose(round)):
        beginning = shared.load(round)
    simulation = simulation_of(trunk, experiment)
    with simulation.started(), _new_directory(simulation, Path(out)) as directory:
        directory.copy_records(trunk, round)
        checkpoints = checkpoints_of(directory, simulation.experiment)
        checkpoints.save(beginning)
        return _run(simulation, directory, checkpoints, [Recorder(directory.path), *observers], round)


def _apart_from_methods(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """The settings that two runs which share rounds must have in common, by block."""
    for block, settings in experiment.to_dict().items():
        if block not in ("name", "description", "methods", "backend", "checkpoint"):
            yield block, json.dumps(settings, sort_keys=True)


def _run(
    simulation: Simulation,
    directory: RunDirectory,
    checkpoints: Checkpoints,
    observers: Sequence[Observer],
    rounds_done: int = 0,
) -> Run:
    engine = simulation.engine(checkpoints, observers)
    if rounds_done:
        with checkpoints.refusing(rounds_done):
            engine.restore(checkpoints.load(rounds_done))
        checkpoints.discard_after(rounds_done)
    code = simulation.experiment.user_parts.record()
    origin = provenance(code) | {"autotuned": _autotuned(simulation, directory)}
    if gone := simulation.backend.not_collected():
        origin["not_collected"] = list(gone)
    for observer in observers:
        observer.started(simulation.info(directory.path, rounds_done))
    status = _carry_out(engine, simulation.backend, directory, observers, origin)
    return Run(RunDirectory(directory.path), status)


def _told(error: OSError) -> str:
    """What went wrong, and with which file where that is known."""
    file = error.filename2 or error.filename
    return f"{error.strerror or error}{f': {file}' if file else ''}"


def _autotuned(simulation: Simulation, directory: RunDirectory) -> dict[str, Any]:
    """What was measured to decide what the experiment leaves open; a resumed run keeps what was decided at first."""
    first: dict[str, Any] = directory.provenance().get("autotuned", {})
    return {**first, **simulation.autotuned, **simulation.backend.autotuned}


def _carry_out(
    engine: Engine,
    backend: Backend,
    directory: RunDirectory,
    observers: Sequence[Observer],
    origin: dict[str, Any],
) -> str:
    began, status = time.perf_counter(), "failed"
    try:
        directory.write_json("provenance.json", {**origin, "status": "running"})
        status = engine.run()
        if status == "finished" and (carried := backend.carried()):
            origin["carried"] = dict(carried)
        if status == "finished" and (hosts := backend.hosts()):
            origin["hosts"] = dict(hosts)
    except KeyboardInterrupt:
        status = "interrupted"
    except OSError as error:
        raise RunError(
            f"writing the run directory failed in round {engine.round + 1}: {_told(error)}.\n"
            "    What was written stays readable. Free some space and continue with `rumormill resume`."
        ) from error
    finally:
        outcome = {**origin, "status": status, "seconds": round(time.perf_counter() - began, 3)}
        outcome |= {"ended_early": engine.ended_early} if engine.ended_early else {}
        with suppress(OSError):  # a full disk has been reported already
            directory.write_json("provenance.json", outcome)
        for observer in observers:
            with suppress(OSError):
                observer.finished(status)
    return status
