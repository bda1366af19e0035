"""What the report says of canaries whose gradients are marks, by who looks at them and from how far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.core.report import BarChart, Table
from simulator.results.formatting import MISSING

Result = Mapping[str, Any]
WHERE = {
    "block": "The gradient of each is a mark in an entry of its own of a block of parameters that no network reads: it "
    "is clipped, drawn, blurred, sent and mixed as any other, and disturbs none.",
    "direction": "The gradient of each is a mark in a random direction of its own among the parameters that are "
    "trained: it is clipped, drawn, blurred, sent and mixed as any other.",
}
HEADER = (
    "distance", "messages", "canaries", "promised", "of what they contributed", "shown, any mechanism",
    "if Gaussian", "and independent", "ceiling", "worst signs",
)  # fmt: skip


def about(result: Result) -> Iterator[str]:
    """The canaries and their scores, in words."""
    yield (
        f"{result['canaries']} training samples, canaries, were each trained on or not by a coin of its own "
        f"({result['included']} were). {WHERE[result['kind']]} The first table is of one who sees all messages: "
        "scores are log-likelihood ratios of what each round shows, summed over rounds. Of several local steps a round "
        "shows the sum alone, which is less than what is promised to hide each of them."
    )
    if result["kind"] == "direction":
        yield (
            "Other samples' gradients lie along these directions, too, if only a little, and hide canaries as noise "
            "would; and what canaries do to the models, others' gradients answer to. So no bound is given that takes "
            "scores for independent, and none by distance: canaries in a block have both."
        )
        return
    yield (
        "As canaries share neither gradients nor noise, their scores are independent given the coins, and each counts "
        "as a run of its own: a third bound takes two error rates at a threshold of 0, fixed beforehand (Nasr et al. "
        "2023). It assumes Gaussian trade-off curves. Above the promise, it points to too little noise, or to "
        "noise that is not independent."
    )


def suspicions(result: Result) -> Iterator[str]:
    """Noise that is not what is accounted for, and promises that canaries with independent scores contradict."""
    claims = [promise["epsilon"] for promise in result["promises"]]
    independent = [bound["independent"] for bound in result["attacks"].values()]
    shown = [(bound["epsilon"], "all messages", max(claims)) for bound in independent if bound]
    for entry in result["by_distance"]:
        of = "all" if entry["remembers"] else "the last"
        seen = f"{of} messages at distance {entry['distance']}"
        shown.append((max(entry["one_run"], entry["independent"]["epsilon"]), seen, entry["promised"]))
    for spread in result["noise"]["spreads"]:
        if spread["high"] < 1:
            yield (
                f"the noise in {spread['where']} is {spread['ratio']:.3g} of what is accounted for, at most "
                f"{spread['high']:.3g}"
            )
    for each in result["noise"]["correlations"]:
        if abs(each["found"]) > each["by_chance"]:
            yield f"{each['between']} has a correlation of {each['found']:.3g}, and should have none"
    for bound, seen, claim in shown:
        if bound > claim:
            yield f"{seen} show an epsilon of at least {bound:.3g} if trade-off curves are Gaussian, above {claim:.3g}"


def about_noise(result: Result) -> Iterator[str]:
    """The noise itself, in words."""
    shown = ", ".join(
        f"{each['where']} {each['ratio']:.3f} [{each['low']:.3f}, {each['high']:.3f}]"
        for each in result["noise"]["spreads"]
    )
    chance = ", ".join(
        f"{each['found']:.2g} between {each['between']} (within {each['by_chance']:.1g} by chance)"
        for each in result["noise"]["correlations"]
    )
    farthest = "on average, and where it is farthest from 0"
    correlated = f"Its correlation, {farthest}, is {chance}. " if chance else "Others' gradients add to it. "
    yield (
        f"Noise, measured where the marks of canaries that were out would be, over what is accounted for: {shown}: of "
        f"the nodes, rounds and single messages the one with the least. {correlated}Each of these figures is outside "
        "its limits for sound noise once in a million runs. They tell noise that is too small or used twice, and no "
        "other fault."
    )


def distances(result: Result) -> Table:
    """What nodes at each distance may learn, and what they have shown to learn."""
    rows = [
        (
            entry["distance"],
            "all" if entry["remembers"] else "last round",
            entry["canaries"],
            entry["promised"],
            MISSING if entry["contributed"] is None else entry["contributed"],
            entry["one_run"],
            entry["gaussian"],
            entry["independent"]["epsilon"],
            entry["independent"]["ceiling"],
            entry["worst_signs"],
        )
        for entry in result["by_distance"]
    ]
    return Table(HEADER, rows)


def about_distances(result: Result) -> Iterator[str]:
    """How the table by distance is made."""
    yield (
        "By distance: of each node, the node of the lowest number at that distance judges its canaries by all that it "
        "hears and by its own noise, whitened and matched with what a canary leaves there; or by the last round's "
        "messages alone. Promised is the smaller of a sample's epsilon and of the network's, of the least protected "
        "node, for the worst contributions; beside it stands what canaries with these signs give away exactly, if each "
        "step draws them. If not, the filter takes what is expected for certain, which is not the best attack. Each "
        "bound holds by itself, and observers see the same canaries."
    )


def chart(result: Result) -> BarChart:
    """Promised and shown, by distance."""
    entries = [entry for entry in result["by_distance"] if entry["remembers"]]
    last = [entry for entry in result["by_distance"] if not entry["remembers"]]
    series = {
        "promised": [entry["promised"] for entry in entries],
        "shown": [entry["independent"]["epsilon"] for entry in entries],
        "promised, last round alone": [entry["promised"] for entry in last],
        "shown, last round alone": [entry["independent"]["epsilon"] for entry in last],
    }
    names = [f"distance {entry['distance']}" for entry in entries]
    return BarChart("Epsilon by distance: promised and shown", names, series, "epsilon")
