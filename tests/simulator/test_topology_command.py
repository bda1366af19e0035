"""``rumormill topology``: what it prints, draws and refuses, with and without attackers."""

import pytest

from simulator.commands.topology import PLACES_HELP
from topologies.adversaries import PLACES


def told(out):
    """What is printed, without the breaks of lines."""
    return " ".join(out.split())


def test_topology_tells_the_spectral_gap_and_draws(rumormill, tmp_path):
    code, out, _ = rumormill("topology", "ring", "--nodes", 16, "--draw", tmp_path / "ring.svg")
    assert code == 0
    assert "0.0507" in out
    assert "34.88 MB in all, 2.18 MB by the busiest node" in " ".join(out.split())  # 2 links x 1.0899 MB
    assert (tmp_path / "ring.svg").read_text().lstrip().startswith("<?xml")


def test_topology_takes_a_graphs_own_options(rumormill):
    assert "4 to 4" in rumormill("topology", "torus", "rows=4", "--nodes", 16)[1]
    code, _, err = rumormill("topology", "torus", "rows=3", "--nodes", 16)
    assert code == 2
    assert "topology.rows" in err


def test_topology_names_every_way_to_place_attackers():
    assert ", ".join(PLACES) in PLACES_HELP


def test_topology_refuses_a_seed_that_would_change_nothing(rumormill):
    code, _, err = rumormill("topology", "ring", "--nodes", 16, "--seed", 3)
    assert code == 2
    assert "--seed: the ring graph is not random" in err
    assert rumormill("topology", "disjoint_union", "of=ring", "--nodes", 8, "--seed", 3)[0] == 2
    for random in (("erdos_renyi", "probability=0.6"), ("disjoint_union", "of=random_regular")):
        assert rumormill("topology", *random, "--nodes", 12, "--seed", 3)[0] == 0


def test_a_ring_is_promised_nothing(rumormill):
    code, out, _ = rumormill("topology", "ring", "--nodes", 8, "--adversaries", "3")
    assert code == 0
    for fact in (
        "attackers 3",
        "1 at most",
        "0.3333 at most, mean 0.0952",
        "1 (2), 2 (2), 3 (2), 4 (1)",
        "mu_2 0.1981",
    ):
        assert fact in told(out)
    assert "nothing: b = 1 is not below mu_2 / 2 = 0.099" in told(out)
    assert "not even one attacker heard" in told(out)


@pytest.mark.parametrize(
    ("nodes", "count", "verdict", "bears"),
    [
        (16, "2", "that CS+ works: b = 2 is below mu_2 / 4 = 3.5", "b up to 3"),
        (16, "5", "nothing: b = 5 is not below mu_2 / 4 = 2.75, as CS+ needs; below mu_2 / 2 = 5.5", "b up to 2"),
        (16, "50%", "nothing: b = 8 is not below mu_2 / 2 = 4", "b up to 1"),
    ],
)
def test_a_complete_graph_bears_some(rumormill, nodes, count, verdict, bears):
    _, out, _ = rumormill("topology", "complete", "--nodes", nodes, "--adversaries", count, "--place", "random")
    assert verdict in told(out)
    assert bears in told(out)


def test_the_seed_decides_who_attacks(rumormill):
    def attackers(*seed):
        out = rumormill("topology", "ring", "--nodes", 30, "--adversaries", "2", "--place", "apart", *seed)[1]
        return next(line for line in out.splitlines() if line.startswith(" attackers  "))

    assert attackers("--seed", 1) == attackers("--seed", 1) != attackers("--seed", 2)
    assert attackers("--seed", 0) == attackers()


def test_directed_graphs_and_cut_vertices_are_promised_nothing(rumormill):
    code, out, _ = rumormill("topology", "exponential", "--nodes", 8, "--adversaries", "3")
    assert code == 0
    assert "nothing: its bounds are of links that go both ways" in told(out)
    code, out, _ = rumormill("topology", "star", "--nodes", 6, "--adversaries", "0")
    assert code == 0
    assert "nothing. The honest nodes fall apart into {1}, {2}, {3}, {4}, {5}: node 0, a cut vertex" in told(out)


def test_the_drawing_marks_attackers(rumormill, tmp_path):
    rumormill("topology", "star", "--nodes", 6, "--adversaries", "0", "--draw", tmp_path / "attacked.svg")
    rumormill("topology", "star", "--nodes", 6, "--draw", tmp_path / "plain.svg")
    assert ">attacker<" in (tmp_path / "attacked.svg").read_text()
    assert ">attacker<" not in (tmp_path / "plain.svg").read_text()


def test_without_attackers_nothing_is_said_of_them(rumormill):
    assert "attack" not in rumormill("topology", "ring", "--nodes", 8)[1]


@pytest.mark.parametrize(
    ("options", "where", "advice"),
    [
        (["--adversaries", "3,8"], "--adversaries: There is no node 8.", "Count from 0 to 7."),
        (["--adversaries", "3,3"], "--adversaries: 3,3 names a node twice.", "Name each once."),
        (["--adversaries", "3;4"], "--adversaries: '3;4' says neither who nor how many.", "as 2 or 20%, with --place"),
        (["--adversaries", "20%"], "--adversaries: '20%' says neither", "with --place"),
        (["--adversaries", "1,2", "--place", "apart"], "--adversaries: '1,2' says neither", "with --place"),
        (["--adversaries", "nan%", "--place", "apart"], "--adversaries: 'nan%' says neither", "with --place"),
        (["--adversaries", "inf%", "--place", "apart"], "--adversaries: 'inf%' says neither", "with --place"),
        (["--adversaries", "5%", "--place", "apart"], "--adversaries: 5% of 8 nodes is nobody.", "larger share"),
        (["--adversaries", "0", "--place", "random"], "--adversaries: 0 attackers cannot be chosen.", "1 or more"),
        (["--adversaries", "5", "--place", "apart"], "--adversaries: 5 attackers of which no two", "Take fewer"),
        (
            ["--adversaries", "100%", "--place", "degree"],
            "--adversaries: Of 8 nodes, 0 would be honest.",
            "two or more",
        ),
        (["--adversaries", "0,1,2,3,4,5,6,7"], "--adversaries: Of 8 nodes, 0 would be", "two or more"),
        (["--adversaries", "2", "--place", "degre"], "--place: There is no place called 'degre'.", "'degree'"),
        (["--place", "apart"], "--place: there is nobody to place.", "--adversaries 2"),
        (["--adversaries", "1", "--seed", "3"], "--seed: the ring graph is not random", "Leave --seed out"),
        (["--adversaries", "1", "--weights", "push"], "topology.weights: Robust rules are", "Choose other weights"),
    ],
)
def test_what_is_meant_has_to_be_clear(rumormill, options, where, advice):
    code, out, err = rumormill("topology", "ring", "--nodes", 8, *options)
    assert (code, out) == (2, "")
    assert where in told(err)
    assert advice in told(err)
