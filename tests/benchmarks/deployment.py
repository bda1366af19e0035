"""What a round takes in a deployment on this machine, on both planes, beside the simulation; and what it sends.

    python tests/benchmarks/deployment.py [--nodes 4] [--rounds 200] [SETTING=VALUE ...]

The recipe quickstart-deploy without its methods, and with what else is set. Seconds a round are those between two ends
of a round at node 0, the median; the start of a phase is paid once. Bytes a round and node: what the tensors hold;
encoded, and sealed in the relay; and what went through the SuperLink in all, the app and heartbeats included. Processor
time is that of all processes: in all, from the first start to the last end; and by round and node between a fifth of
the rounds and nine tenths of them, Flower's own and collecting included. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from processor_time import processor_seconds

from simulator import load_experiment, run
from simulator.core.message import Envelope
from simulator.core.observer import Observer
from simulator.deployment.plan import deployable
from simulator.deployment.transport.box import HEAD
from simulator.deployment.transport.sealing import OVERHEAD
from simulator.runs.build import Simulation
from simulator.runs.launch import run_simulation
from simulator.runs.run import Run

BESIDE = {"p2p": HEAD.size, "relay": HEAD.size + OVERHEAD, "simulation": 0}  # bytes a message


class UnderWay(Observer):
    """Reads the processor time twice, while rounds go by."""

    def __init__(self, rounds: int) -> None:
        self._at = rounds // 5, rounds * 9 // 10
        self._read: list[float] = []

    def sent(self, round: int, messages: Sequence[Envelope]) -> None:
        if round in self._at:
            self._read.append(processor_seconds())

    @property
    def a_round(self) -> float:
        """Seconds of processor time."""
        begun, done = self._read
        return (done - begun) / (self._at[1] - self._at[0])


class Look(UnderWay):
    """Reads what the deployment has left on its disks and at its SuperLink, before it is gone."""

    def __init__(self, backend: Any, rounds: int) -> None:
        super().__init__(rounds)
        self.backend, self.ends, self.traffic = backend, list[float](), 0

    def finished(self, status: str) -> None:
        folder = next((self.backend.folder / "nodes" / "node-0" / "report").iterdir())
        self.ends = sorted(file.stat().st_mtime for file in folder.glob("*-absorb.safetensors"))
        (self.traffic,) = self.backend.carried().values()


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser()
    options.add_argument("--nodes", type=int, default=4)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("changes", nargs="*", metavar="SETTING=VALUE")
    return options


def experiment(nodes: int, rounds: int, changes: Sequence[str]) -> Any:
    given = [f"rounds={rounds}", f"topology.nodes={nodes}", "methods=[]", f"evaluate.every={rounds}", "checkpoint={}"]
    return load_experiment("quickstart-deploy", [*given, *changes])


def bytes_a_round(done: Run, nodes: int, rounds: int, beside: int) -> tuple[float, float]:
    """By each node: what the tensors hold, and what was handed to the connection."""
    messages = list(done.directory.messages())
    held = sum(sum(message["parts"].values()) for message in messages)
    return held / nodes / rounds, sum(message["wire"] + beside for message in messages) / nodes / rounds


def deployed(plane: str, planned: Any, out: str) -> dict[str, float]:
    nodes, rounds = planned.topology.nodes, planned.rounds
    simulation = Simulation.of(deployable(planned, plane=plane, phase=rounds))
    look = Look(simulation.backend, rounds)
    done = run_simulation(simulation, Path(out) / plane, [look])
    seconds = statistics.median(after - before for before, after in zip(look.ends, look.ends[1:], strict=False))
    held, wire = bytes_a_round(done, nodes, rounds, BESIDE[plane])
    traffic = look.traffic / nodes / rounds
    return {"seconds": seconds, "held": held, "wire": wire, "superlink": traffic, "round": look.a_round / nodes}


def simulated(planned: Any, out: str) -> dict[str, float]:
    nodes, rounds = planned.topology.nodes, planned.rounds
    local = planned.model_copy(update={"backend": load_experiment("quickstart").backend})
    under_way = UnderWay(rounds)
    done = run(local, Path(out) / "simulation", [under_way])
    taken = done.directory.timing()[-1]
    held, wire = bytes_a_round(done, nodes, rounds, 0)
    seconds, each = taken["seconds"] / taken["rounds"], under_way.a_round / nodes
    return {"seconds": seconds, "held": held, "wire": wire, "superlink": 0.0, "round": each}


def timed(measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What it finds, and the processor time of the whole of it: all processes, from their start to their end."""
    before = processor_seconds()
    found = measure()
    return found | {"processor": processor_seconds() - before}


def main() -> None:
    given = parser().parse_args()
    planned = experiment(given.nodes, given.rounds, given.changes)
    with tempfile.TemporaryDirectory() as out:
        found = {"simulation": timed(lambda: simulated(planned, out))}
        for plane in ("p2p", "relay"):
            found[plane] = timed(partial(deployed, plane, planned, out))
    titles = ("s a round", "processor s", "ms, round, node", "tensors, kB", "sent, kB", "SuperLink, kB")
    print(" " * 10 + "".join(f"{title:>16}" for title in titles))
    for name, row in found.items():
        kilobytes = (row[key] / 1e3 for key in ("held", "wire", "superlink"))
        print(
            f"{name:>10}{row['seconds']:>16.4f}{row['processor']:>16.1f}{row['round'] * 1e3:>16.1f}"
            + "".join(f"{each:>16.2f}" for each in kilobytes)
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
