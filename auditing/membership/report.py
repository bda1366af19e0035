"""The section of a run's report that an audit of membership brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from auditing.attackers import told as told_of_attackers
from auditing.membership.figures import Result, figures, hops
from auditing.membership.meaning import meaning
from auditing.membership.self_check import told
from simulator.core.report import Section, Table
from simulator.results.formatting import MISSING
from topologies import Topology

COLUMNS = 6  # of estimates with their intervals, beside the attacks
STATISTICS = {"auc": "AUC", "tpr_at_0.01": "TPR at 1 % FPR", "tpr_at_0.001": "TPR at 0.1 % FPR"}


def section(result: Result, topology: Topology) -> Section:
    """The section on ``result``, the content of ``result.json``, of a run on ``topology``."""
    return Section(
        "Audit: membership",
        list(_paragraphs(result)),
        _verdict(result),
        [_views(result), *_tables(result)],
        list(figures(result, topology)),
        meaning(result),
    )


def _verdict(result: Result) -> str:
    """From the first view; from that of the farthest nodes, and from the most telling one, where these are others."""
    best, holders = result["attacks"][result["strongest"]], result["views"]
    first, *others = dict.fromkeys([*best][:1] + hops(best)[-1:] + [max(best, key=lambda v: best[v]["auc"]["value"])])
    text = (
        f"{holders[first][0].upper()}{holders[first][1:]} tells its training samples from others of the same pool with "
        f"an AUC of {shown(best[first]['auc'])} ({result['strongest']})"
    )
    return "; ".join([text, *(f"{holders[view]}, of {shown(best[view]['auc'])}" for view in others)]) + "."


def _paragraphs(result: Result) -> Iterator[str]:
    members, non_members = result["members"], result["non_members"]
    victims = result["nodes"] - len(result.get("lying", ()))
    yield (
        f"A run of {result['round']} rounds; {members:,} members and {non_members:,} non-members, each from the pool "
        "of the node that is attacked. From each view, all candidates are judged by one threshold. In brackets: 95 % "
        "intervals of a bootstrap over candidates; they do not cover other seeds."
    )
    yield (
        f"With {non_members:,} non-members no FPR below {1 / non_members:.2%} can be told from 0, so rates at a lower "
        "one are not given; they are steady only from about ten times that."
    )
    yield (
        f"The figures show {result['strongest']}: of the attacks asked for, the one with the highest AUC from the "
        "first view. It was chosen in hindsight, which flatters it a little. What is shown of one node or of a pair "
        f"rests on the {(members + non_members) / victims:.0f} candidates of one node, and is the less certain "
        "for it."
    )
    yield from told_of_attackers(result)
    yield told(result["check"]) if "check" in result else "This audit was made before audits checked themselves."
    if result.get("copies"):
        yield f"{told_copies(result['copies'], result['candidates'])}."
    if result.get("left"):
        yield (
            f"Of the members' nodes, {result['left']:,} training samples were taken out of training on the way, by a "
            "method that chooses among them. They count as members, since their node trained on them or chose by them."
        )
    if result.get("groups"):
        yield (
            f"The data say which samples belong together, and membership is asked of groups, not of samples: of all "
            f"{result['candidates']:,} samples that are taken of groups, scores are averaged before groups are "
            "ranked. Members and non-members above are numbers of groups."
        )
    if result.get("alone"):
        yield too_narrow(result["alone"])
    if result.get("unfit"):
        yield f"Not asked: {' '.join(result['unfit'])}"
    if result["unseen"]:
        yield f"Not among the views: {'; '.join(result['unseen'])}"


def told_copies(copies: int, candidates: int) -> str:
    """What it means that so many of the candidates are on the other side, too, for people; without a full stop."""
    return (
        f"{copies:,} of the {candidates:,} candidates are exact copies of samples on the other side: non-members that "
        "a node has trained on all the same, or members that are held out as well. No attack can tell these apart, "
        "and each looks weaker for it: take copies out of the data"
    )


def too_narrow(nodes: Sequence[int]) -> str:
    """What it means that of each of ``nodes`` a single member or non-member is asked about, for people."""
    which = f"node {nodes[0]}" if len(nodes) == 1 else f"each of the nodes {', '.join(map(str, nodes))}"
    return (
        f"Of {which}, a single member or a single non-member is asked about. The bootstrap draws within nodes, so it "
        "cannot vary that one, and intervals are too narrow: hold more out (data.held_out), or ask of more (samples)."
    )


def _views(result: Result) -> Table:
    header = ("view", "who looks on, and by what")
    return Table(header, list(result["views"].items()), "the views, and who has them")


def _tables(result: Result) -> Iterator[Table]:
    """Tables of each statistic, with a row for each attack and a column for each view; as many as fit the page."""
    attacks, views = result["attacks"], list(result["views"])
    parts = [views[start : start + COLUMNS] for start in range(0, len(views), COLUMNS)]
    for (statistic, title), part in product(STATISTICS.items(), parts):
        cells = {name: [found[view][statistic] for view in part] for name, found in attacks.items()}
        if any(estimate for row in cells.values() for estimate in row):
            rows = [(name, *map(shown, row)) for name, row in cells.items()]
            beyond = f", views {parts.index(part) * COLUMNS + 1} to {len(part) + parts.index(part) * COLUMNS}"
            name = f"{title} of every attack{beyond if len(parts) > 1 else ', by view'}"
            yield Table((f"{title}: signal, attack", *part), rows, name)


def shown(estimate: Mapping[str, float] | None) -> str:
    """An estimate and its interval, for tables."""
    if estimate is None:
        return MISSING
    interval = f"[{estimate['low']:.3f},\N{NO-BREAK SPACE}{estimate['high']:.3f}]"
    return f"{estimate['value']:.3f} {interval}"
