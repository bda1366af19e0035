"""What `deploy collect` reads of nodes that lie: taken over as what that node may say, or refused by the file's name.

``FUZZ=N`` in the environment draws N folders (default 200), ``FUZZ_SEED`` others.
"""

import json
import os
import shutil
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from reference.deployment import Deployment
from reference.experiments import METHODS, small
from safetensors.torch import load, save

from simulator.core.backend import Order
from simulator.core.errors import InputError
from simulator.deployment.collecting import Collection
from simulator.deployment.node_folder import finished_rounds
from simulator.results import message_log
from simulator.results.places import MESSAGES
from simulator.results.recorder import Recorder
from simulator.runs.build import Simulation, run_schedule

OUTSIDE = Path(tempfile.gettempdir()) / "outside of every run"
pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]

DRAWS, SEED = int(os.environ.get("FUZZ", "200")), int(os.environ.get("FUZZ_SEED", "17"))
ODD = [
    None,
    "",
    "x",
    -1,
    0,
    1,
    7,
    2**53,
    2**70,
    1.5,
    True,
    [],
    {},
    "../../../outside",
    str(OUTSIDE),
    "a" * 5000,
    "\n",
]
ODD += [float("nan"), float("inf"), "a\\", 'a"b', "\udcff", [[]], {"": {}}]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    made = Deployment(small(methods=METHODS, rounds=4, record={"every": 2}), tmp_path_factory.mktemp("fuzz"))
    made.p2p(4, seconds=200, join_timeout=100.0)
    return made


@pytest.fixture(scope="module")
def blueprint(deployment):
    return Simulation.of(deployment.experiment).blueprint


def facts_of(data):
    tensors = load(data)
    return tensors, json.loads(tensors.pop("facts").numpy().tobytes())


def places_in(tree, at=()):
    """All places of a JSON tree."""
    yield at
    for key, below in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places_in(below, (*at, key))


def lied(data, random):
    """One to three things that the reply says are others."""
    tensors, facts = facts_of(data)
    for _ in range(random.integers(1, 4)):
        places = list(places_in(facts))[1:]
        *way, last = places[random.integers(len(places))]
        tree = facts
        for key in way:
            tree = tree[key]
        tree[last] = ODD[random.integers(len(ODD))]
    said = json.dumps(facts).encode()
    return save({**tensors, "facts": torch.frombuffer(bytearray(said), dtype=torch.uint8)})


def bent(data, random):
    """Tensors are others, gone, or too many."""
    tensors, facts = facts_of(data)
    if tensors:
        name = sorted(tensors)[random.integers(len(tensors))]
        tensor = tensors.pop(name)
        flat = tensor.reshape(-1)
        others = [flat[:1], torch.cat([flat, flat]), tensor.to(torch.float16), tensor[None], flat[:0], None]
        new = others[random.integers(len(others))]
        if new is not None:
            tensors[name] = new.clone().contiguous()
    if random.random() < 0.3:
        tensors["more/../.."] = torch.ones(1)
    said = json.dumps(facts).encode()
    return save({**tensors, "facts": torch.frombuffer(bytearray(said), dtype=torch.uint8)})


def garbled(data, random):
    cut = int(random.integers(len(data) + 1))
    flipped = bytearray(data)
    for place in random.integers(min(len(data), 3000), size=random.integers(1, 6)):
        flipped[place] = random.integers(256)
    return [data[:cut], bytes(flipped), b"", random.bytes(100), b"\xff" * 9][random.integers(5)]


def replaced(file, random, elsewhere):
    """The file is none: a pipe, a folder, a link to somewhere else, or one of a size that nobody has."""
    kind = random.integers(5)
    data = file.read_bytes()
    file.unlink()
    if kind == 0:
        os.mkfifo(file)
    elif kind == 1:
        file.mkdir()
    elif kind == 2:
        file.symlink_to(elsewhere)
    elif kind == 3:
        file.symlink_to("/dev/zero")
    else:
        file.write_bytes(data)
        os.truncate(file, 2**42)


def hostile(state, random, elsewhere):
    """Something in a node's folder is changed; returns what."""
    files = sorted(file for file in state.glob("0*.safetensors"))
    file = files[random.integers(len(files))]
    kind = random.integers(7)
    if kind == 0:
        replaced(file, random, elsewhere)
    elif kind == 1:
        others = sorted(elsewhere.parent.glob("0*.safetensors"))
        file.write_bytes(others[random.integers(len(others))].read_bytes())
    elif kind == 2:
        (state / ["state-x.safetensors", "state-²²²²²².safetensors", "state-.safetensors"][random.integers(3)]).touch()
    else:
        change = (lied, lied, bent, garbled)[kind - 3]
        file.write_bytes(change(file.read_bytes(), random))
    return file.name


def collected(blueprint, folders, out):
    """All that the nodes say, taken over as an engine does."""
    for folder in folders:
        assert finished_rounds(folder) == 4

    def gap():
        raise InputError()

    collection, recorder, due = (
        Collection.of(blueprint, dict(enumerate(folders)), gap),
        Recorder(out),
        run_schedule(blueprint.experiment).due,
    )
    recorder.started(None)
    with closing(SimpleNamespace(close=lambda: recorder.finished("finished"))):
        unmixed = False
        for round in range(5):
            for order in (due(round), Order(begin=True, train=True, send=1)) if round < 4 else (due(round),):
                if order == Order():
                    continue
                replies = collection.superstep(
                    Order(unmixed, False, order.finalize, order.evaluate, order.snapshot, order.work)
                )()
                unmixed = order.work
                for reply in replies.values():
                    recorder.logged(reply.metrics)
                    recorder.sent(round, reply.sent)
                    for name, artifact in reply.artifacts:
                        recorder.saved(name, artifact)
                    for recording in reply.recordings:
                        recorder.kept(recording)
    for line in (out / "metrics.jsonl").read_text().splitlines():
        json.loads(line)
    for message in message_log.records(out / MESSAGES):
        assert message["wire"] >= 0


def test_a_hostile_node_is_taken_over_as_itself_or_refused_by_its_file(deployment, blueprint, tmp_path, capsys):
    random, found = np.random.default_rng(SEED), Counter()
    honest = [deployment.node_folder(node).state(deployment.manifest.run) for node in range(4)]
    (tmp_path / "honest").mkdir()
    collected(blueprint, honest, tmp_path / "honest")
    for number in range(DRAWS):
        place = tmp_path / f"{number}"
        copy, out = place / "node-1", place / "runs" / "run"
        out.mkdir(parents=True)
        shutil.copytree(honest[1], copy)
        name = hostile(copy, random, honest[0] / "000001-work.safetensors")
        before = everything(place) - {copy}
        try:
            collected(blueprint, [honest[0], copy, *honest[2:]], out)
            found["taken"] += 1
        except InputError as error:
            found["refused" if name in str(error) else f"refused without its name: {error}"] += 1
        assert {each for each in everything(place) - before if out not in each.parents} <= {out, copy}
        assert not OUTSIDE.exists()
        shutil.rmtree(place)
    with capsys.disabled():
        print(f"\nnode folders: {dict(found)}")
    assert set(found) == {"taken", "refused"}
    assert found["refused"] > DRAWS / 3


def everything(folder):
    return set(folder.rglob("*"))
