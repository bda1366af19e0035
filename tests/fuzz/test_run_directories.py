"""Files of a run damaged in every way: each command goes on, or refuses it by the file's name."""

import json
import os
import random
import resource
import shutil
import struct
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from reference.experiments import small
from reference.fuzzing import judge

from auditing.memorization import MemorizationAudit
from simulator import resume, run
from simulator.core.errors import InputError, Problem, RumormillError
from simulator.results.comparison import compare, find_runs
from simulator.results.recordings import Recordings
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import audit
from simulator.runs.report import write_run_report

MEMORY = 6 * 2**30  # bytes that an example may ask for beyond what there is
MEMORIZATION = MemorizationAudit.Config(resamples=5, top=2, shown_nodes=1)
ODD = (None, True, -1, 7, 2**53, 2**70, 1.5, float("nan"), float("inf"), "", "x", "../x", "\n", [], [[]], {}, {"": {}})


def experiment(seed):
    return small(
        f"seed={seed}",
        "data.partition=iid",
        "data.validation=0",
        "data.public=[]",
        "data.held_out=0.5",
        "data.train_samples=120",
        "data.corruption.labels={name: symmetric, rate: 0.1}",
        methods=[{"name": "trajectories"}],
        record={"every": 3},
        checkpoint={"every": 2, "keep": "all"},
    )


@pytest.fixture(scope="module", autouse=True)
def _bounded_memory():
    """No example takes more than it needs, whatever a file claims."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run with audits, artifacts, views and checkpoints, and beside it another that stays whole."""
    folder = tmp_path_factory.mktemp("runs")
    path, other = (run(experiment(seed), folder).path for seed in (0, 1))
    audit(path, MEMORIZATION)
    RunDirectory(path).write_json("sweep.json", {"arm": "a", "grid": {}, "seed": 0})
    return path.rename(folder / "damaged"), other.rename(folder / "other")


def resumed(path):
    resume(path, round=4)


def compared(path):
    """Damaged or not, the other run is compared; what is wrong is among the notes."""
    comparison = compare(find_runs([path.parent]))
    assert sum(len(group.finished) for group in comparison.groups) in (1, 2)
    damaged = [note for note in comparison.notes if note.startswith("left out: ")]
    if damaged:
        raise InputError(*(Problem("", note) for note in damaged))


def viewed(path):
    """As audits of membership and of privacy read them."""
    views = Recordings(path / "recordings")
    for round in views.rounds(4):
        for node in range(4):
            assert views.parts(round, node, (node + 1) % 4)
            for name in views.names(round, node):
                views.load(round, node, name)


COMMANDS = {
    "resume": resumed,
    "report": lambda path: write_run_report(RunDirectory.open(path)),
    "memorization": lambda path: audit(path, MEMORIZATION),
    "views": viewed,
    "compare": compared,
}


def npz(arrays):
    stream = BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def claimed(content, count):
    """The first array of an .npz says that it has so many numbers."""
    stream = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for number, name in enumerate(old.namelist()):
            data = old.read(name)
            if not number:
                header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({count},), }}".encode()
                header = header.ljust(117) + b"\n"
                data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
            new.writestr(name, data)
    return stream.getvalue()


def arrays_changed(content, rng):
    """One array is gone, or of another type, shape or content."""
    with np.load(BytesIO(content)) as file:
        arrays = dict(file)
    name = rng.choice(sorted(arrays))
    array = arrays.pop(name)
    flat = array.reshape(-1)
    changes = [
        None,
        flat[:0],
        flat[:1],
        array[None],
        np.concatenate([flat, flat]),
        array.astype(str),
        np.zeros(array.shape, complex),
        np.full(array.shape, np.nan),
        np.full(array.shape, -1),
        np.full(array.shape, 2**62),
        np.array(7),
    ]
    new = changes[rng.randrange(len(changes))]
    return npz(arrays if new is None else {**arrays, name: new})


def tree_changed(content, rng):
    """One value of a JSON text is another."""
    tree = json.loads(content)
    places = [place for place in places_in(tree) if place]
    if places:
        *way, last = rng.choice(places)
        inner = tree
        for key in way:
            inner = inner[key]
        inner[last] = rng.choice(ODD)
    return json.dumps(tree).encode()


def places_in(tree, at=()):
    """All places of a JSON tree."""
    yield at
    for key, below in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places_in(below, (*at, key))


def line_changed(content, rng, change):
    lines = content.splitlines(keepends=True)
    number = rng.randrange(len(lines))
    lines[number] = change(lines[number])
    return b"".join(lines)


ANY = {
    "empty": lambda content, rng: b"",
    "cut": lambda content, rng: content[: rng.randrange(1, len(content))],
    "foreign": lambda content, rng: rng.randbytes(300),
    "text": lambda content, rng: b"<html>not found</html>\n",
    "flipped": lambda content, rng: bytes(byte ^ (rng.random() < 0.01) for byte in content),
    "zeros": lambda content, rng: bytes(len(content)),
}
JSON = {
    "list": lambda content, rng: b"[]\n",
    "number": lambda content, rng: b"7\n",
    "null": lambda content, rng: b"null\n",
    "nothing": lambda content, rng: b"{}\n",
    "deep": lambda content, rng: b"[" * 100_000,
    **{f"value {number}": tree_changed for number in range(6)},
}
LINES = {
    "half a line": lambda content, rng: line_changed(content, rng, lambda line: line[: len(line) // 2] + b"\n"),
    "a bad line": lambda content, rng: line_changed(content, rng, lambda line: b"what?\n"),
    "a line of nothing": lambda content, rng: line_changed(content, rng, lambda line: b"{}\n"),
    "an empty line": lambda content, rng: line_changed(content, rng, lambda line: b"\n"),
    "no end": lambda content, rng: content[:-7],
    **{
        f"value {number}": lambda content, rng: line_changed(content, rng, lambda line: tree_changed(line, rng) + b"\n")
        for number in range(4)
    },
}
ARRAYS = {
    "terabytes": lambda content, rng: claimed(content, 10**13),
    "a gigabyte": lambda content, rng: claimed(content, 2**27),
    "more than counts": lambda content, rng: claimed(content, 10**30),
    "pickled": lambda content, rng: npz({"a": np.array([{}, object], dtype=object)}),
    "no arrays": lambda content, rng: npz({}),
    **{f"array {number}": arrays_changed for number in range(8)},
}
TENSORS = {
    "a long header": lambda content, rng: struct.pack("<Q", 2**40) + content[8:],
    "no tensors": lambda content, rng: struct.pack("<Q", 2) + b"{}",
}
YAML = {
    "list": lambda content, rng: b"[]\n",
    "python": lambda content, rng: b"name: !!python/object/apply:os.getcwd []\n",
    "a date": lambda content, rng: content + b"more: 2020-01-01\n",
    "a line less": lambda content, rng: line_changed(content, rng, lambda line: b""),
    "a line changed": lambda content, rng: line_changed(content, rng, lambda line: line.split(b":")[0] + b": x\n"),
}
OF = {".json": JSON, ".jsonl": LINES, ".npz": ARRAYS, ".safetensors": TENSORS, ".yaml": YAML}


def of_interest(path):
    """The files of a run, of which many are of one kind only the first and the last."""
    kinds = {}
    for file in sorted(
        file for file in path.rglob("*") if file.is_file() and file.name not in (".lock", "report.html")
    ):
        kinds.setdefault("".join(filter(str.isalpha, str(file.relative_to(path)))), []).append(file)
    return sorted({file for files in kinds.values() for file in (files[0], files[-1])})


def damages(path):
    """(File, what happens to it), all that there are."""
    for file in of_interest(path):
        yield from ((file, kind) for kind in (*ANY, *OF.get(file.suffix, ()), "gone", "a folder", "a pipe"))


def damage(file, kind, seed):
    content, rng = file.read_bytes(), random.Random(seed)
    file.unlink()
    if kind == "a folder":
        file.mkdir()
    elif kind == "a pipe":
        os.mkfifo(file)
    elif kind != "gone":
        file.write_bytes((ANY | OF.get(file.suffix, {}))[kind](content, rng))


def blamed(command, path, file):
    """Carry out; who refuses must name the file, or the folder of a checkpoint, whose files belong together."""
    try:
        command(path)
    except RumormillError as error:
        named = (file.name, f"{file.parent.name}: ") if "checkpoints" in file.parts else (file.name,)
        if not any(name in str(error) for name in named):
            raise AssertionError(f"{file.name} is not named: {error}") from error
        raise


def examples(whole, place, cases):
    """Of (number, file, kind, command) each in a fresh copy, beside a run that is whole."""
    path, other = whole
    for number, file, kind, command in cases:
        runs = place / "runs"
        shutil.rmtree(runs, ignore_errors=True)
        shutil.copytree(other, runs / other.name)
        copy = Path(shutil.copytree(path, runs / path.name))
        hurt = copy / file.relative_to(path)
        damage(hurt, kind, number)
        name = f"{command}, {file.relative_to(path)}: {kind}"
        yield name, lambda copy=copy, hurt=hurt, command=command: blamed(COMMANDS[command], copy, hurt)


def cases(path):
    """All that there are."""
    for number, (file, kind) in enumerate(damages(path)):
        yield from ((number, file, kind, command) for command in COMMANDS)


@pytest.mark.slow
def test_of_a_damaged_file_commands_go_on_or_say_its_name(whole, tmp_path):
    few = random.Random(17).sample(list(cases(whole[0])), 12)
    assert judge(examples(whole, tmp_path, few))["refused"]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_of_every_damaged_file_every_command_goes_on_or_says_its_name(whole, tmp_path, capsys):
    """``FUZZ=N`` in the environment draws so many of them."""
    every = list(cases(whole[0]))
    drawn = random.Random(17).sample(every, min(len(every), int(os.environ.get("FUZZ", len(every)))))
    with capsys.disabled():
        counts = judge(examples(whole, tmp_path, drawn))
    assert counts["refused"] > len(drawn) / 5
