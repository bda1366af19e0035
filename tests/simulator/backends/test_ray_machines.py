"""Which worker goes where, and what answers at an address; no Ray is started."""

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from simulator.backends.ray import address, machines, paths, placement
from simulator.backends.ray.machines import Machine, Watch
from simulator.backends.ray.paths import Path, Paths
from simulator.core.backend import WorkerLost
from simulator.core.errors import InputError, RunError

pytestmark = pytest.mark.ray


def machine(id, room=1, port=0):
    return Machine(id, "127.0.0.1", port, room, room)


@pytest.fixture
def port():
    """A port of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_rooms_are_counted_on_each_machine_that_answers(monkeypatch, port):
    """A fraction is of one GPU: two have room for four workers with 0.4 each, not five; and 0.5 more for one."""
    entries = [
        {"NodeID": "a", "Alive": True, "NodeManagerPort": port, "Resources": {"CPU": 2.0, "GPU": 3.0}},
        {"NodeID": "b", "Alive": False, "NodeManagerPort": port, "Resources": {"CPU": 8.0, "GPU": 8.0}},
        {"NodeID": "c", "Alive": True, "NodeManagerPort": port, "Resources": {"CPU": 1.0}},
        {"NodeID": "d", "Alive": True, "NodeManagerPort": 1, "Resources": {"CPU": 4.0}},
    ]
    monkeypatch.setattr("ray.nodes", lambda: [{"NodeManagerAddress": "127.0.0.1", **entry} for entry in entries])
    monkeypatch.setattr(machines, "available_resources_per_node", lambda: {"a": {"GPU": 2.5}, "b": {"GPU": 8.0}})
    rooms = {
        gpus: [(each.id, each.room, each.most) for each in machines.machines(gpus)] for gpus in (0, 0.1, 0.4, 1, 2)
    }

    assert rooms == {
        0: [("a", 2, 2), ("c", 1, 1)],
        0.1: [("a", 25, 30), ("c", 0, 0)],
        0.4: [("a", 5, 6), ("c", 0, 0)],
        1: [("a", 2, 3), ("c", 0, 0)],
        2: [("a", 1, 1), ("c", 0, 0)],
    }


def test_workers_in_order_share_machines_in_order():
    found = [machine("a", 3), machine("b", 1)]
    placed = {count: [each.id for each in placement.spread(count, 16, found)] for count in (None, 2, 8)}

    assert placed == {None: ["a", "a", "a", "b"], 2: ["a", "a"], 8: ["a"] * 6 + ["b"] * 2}
    assert len(placement.spread(None, 3, found)) == 3


def ids(moved):
    return moved and {worker: each.id for worker, each in moved.items()}


def test_who_has_lost_a_machine_goes_where_fewest_are_for_its_room():
    placed = {0: machine("a", 2), 1: machine("a", 2), 2: machine("b", 4), 3: machine("dead", 4), 4: machine("dead", 4)}
    left = [machine("a", 2), machine("b", 4), machine("none", 0)]

    assert ids(placement.moved([3, 4], placed, left, 0)) == {3: "b", 4: "b"}
    assert ids(placement.moved([1, 3], placed, left, 0)) == {1: "a", 3: "b"}, "who can stays"
    assert ids(placement.moved([3], placed, [machine("none", 0)], 0)) is None


def test_gpus_are_not_shared():
    placed = {0: machine("a"), 1: machine("dead"), 2: machine("dead")}

    assert ids(placement.moved([1, 2], placed, [machine("a", 1), machine("b", 1)], 0.5)) == {1: "a", 2: "b"}
    assert ids(placement.moved([1, 2], placed, [machine("a", 0), machine("b", 1)], 0.5)) is None


def test_a_machine_that_stays_silent_is_lost_and_one_that_comes_back_is_not(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(machines.time, "monotonic", lambda: now[0])
    answers = {"a": True, "b": True}
    monkeypatch.setattr(Machine, "answers", lambda each: answers[each.id])
    watch, watched = Watch(), [machine("a"), machine("b")]

    def pass_by(seconds, **changes):
        answers.update(changes)
        now[0] += seconds
        watch.look(watched)

    pass_by(3, b=False)
    pass_by(5)
    pass_by(3, b=True)
    pass_by(3, b=False)
    pass_by(5)
    with pytest.raises(WorkerLost, match=r"the machine 127\.0\.0\.1 has not answered for 8 s"):
        pass_by(3)


def test_machines_that_twice_do_not_reach_each_other_end_a_long_wait(monkeypatch):
    a, b, c = map(machine, "abc")
    answers = iter([[], [Path(a, b)], [], [Path(a, b), Path(b, c)], [Path(b, c)]])
    monkeypatch.setattr(paths, "_broken", lambda hears: next(answers))
    looking = Paths(lambda: {a: [b], b: [a, c], c: [b]})

    for waited in (1.0, 14.9, 15.0, 29.0, 30.0, 60.0, 119.0, 120.0, 239.0):  # asked at 15, 30, 60 and 120
        looking.look(waited)
    with pytest.raises(RunError, match=r"does not reach 127\.0\.0\.1, .*never arrives.*\n.*Open Ray's ports"):
        looking.look(240.0)
    assert next(answers, None) is None


@contextlib.contextmanager
def grpc_server(behaviour):
    """The address of a server that treats whatever it is asked by ``behaviour``."""

    class Any(grpc.GenericRpcHandler):
        def service(self, details):
            return behaviour and grpc.unary_unary_rpc_method_handler(behaviour)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Any()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def test_a_ray_that_wants_a_token_says_so():
    def refuse(request, context):
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")

    with grpc_server(refuse) as wants, grpc_server(lambda request, context: b"") as open_to_all:
        assert address.asks_for_token(wants)
        assert not address.asks_for_token(open_to_all)


def test_other_servers_are_told_from_ray(port):
    def answer(listening):
        taken, _ = listening.accept()
        with taken:
            taken.recv(100)
            taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with grpc_server(None) as other, pytest.raises(InputError, match=r"another program does \(unimplemented"):
        address.asks_for_token(other)
    with socket.create_server(("127.0.0.1", 0)) as web:
        for _ in range(2):  # whether anybody listens at all is asked first
            threading.Thread(target=answer, args=(web,), daemon=True).start()
        with pytest.raises(InputError, match=r"backend\.address: no Ray answers at .* another program does"):
            address.asks_for_token(f"127.0.0.1:{web.getsockname()[1]}")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1:6379", "localhost:6379", True),
        ("127.0.0.1:6379", "127.0.0.1:6380", False),
        ("192.0.2.77:6379", "127.0.0.1:6379", False),
        ("no-such-host.invalid:6379", "127.0.0.1:6379", False),
    ],
)
def test_the_same_address_by_another_name_is_the_same(one, other, same):
    assert address.is_at(one, other) is same
