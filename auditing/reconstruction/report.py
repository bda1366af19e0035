"""The section of a report on reconstruction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from auditing.attackers import told
from auditing.reconstruction.attacks import INVERSIONS, NEEDS
from auditing.reconstruction.charts import charts, decibels
from auditing.reconstruction.meaning import meaning
from simulator.core.report import Section, Table
from simulator.results.audit_folder import ARRAYS, AuditFolder
from simulator.results.formatting import MISSING, fixed, percent, significant

Result = Mapping[str, Any]
LOST = 0.1  # relative error, from which on a value that is computed is of no use
READABLE = 64  # rows of a table
FLOAT32 = 2.0**-24  # by which it is off
LINEAR = (
    (
        "An update is what a node adds, by local training and its methods, to the model that it has mixed. Messages "
        "are sums of updates, so whether one can be computed from those that an observer keeps is linear algebra: "
        "R² is the share of an update that the best linear estimate explains, where updates are independent of each "
        "other; 1 means exactly. What is computed exactly is not yet data: that is what the attacks try to make of it."
    ),
    (
        "Messages are rounded when they are sent, and what is computed from several of them is off by more: by how "
        "many times at most is told of the first updates. An update is small beside the models that carry it, which "
        "adds to it; the relative error is known of averaged values in float32, and of updates in a run. Where it "
        "comes near to 1, algebra solves what messages do not hold."
    ),
)
SURE = (
    (
        "An update is what a node adds, by local training and its methods, to the model that it has mixed. Here mixing "
        "goes by what the models are, or nodes lie, so that messages are no sums of updates. This is sure all the "
        "same: who knows the model that a node began a round with, as all do in the first, and hears what it sends, "
        "knows its update; and who knows all that a node mixed knows the model that it begins the next round with. "
        "What is not sure may be estimated. What is computed exactly is not yet data: that is what the attacks try to "
        "make of it."
    ),
)


def section(folder: AuditFolder) -> Section:
    """The section on what lies in ``folder``."""
    result = folder.result()
    pictures = folder.arrays() if (folder.path / ARRAYS).is_file() else {}
    return Section(
        "Reconstruction: whose updates can be computed, and what is in them",
        list(_paragraphs(result)),
        _verdict(result),
        list(_tables(result)),
        list(charts(result, pictures)),
        meaning(result, _told_of_samples(result["attacked"])),
    )


def _verdict(result: Result) -> str:
    plan = result["plan"]
    solved, updates = (sum(at[name] for at in plan["by_distance"]) for name in ("solved", "updates"))
    noun = "averaged values" if result["settings"]["averaging"] else "updates"
    text = f"Of {updates:,} {noun}, as {len(plan['observers'])} observers see them, {solved:,} can be computed exactly"
    if plan.get("sure"):
        text += " for sure, whatever rule mixes"
    if beyond := _beyond_float32(result):
        text += f", {beyond:,} of them only by messages that are more exact than float32"
    samples = _told_of_samples(result["attacked"])
    return f"{text}; {samples}." if samples else f"{text}."


def _beyond_float32(result: Result) -> int:
    """How many averaged values are solvable, and as good as lost when messages are rounded to float32."""
    if not result["settings"]["averaging"]:
        return 0
    return sum((grown or 0) * FLOAT32 > LOST for row in result["plan"]["amplified"] for grown in row)


def _told_of_samples(attacked: Result | None) -> str:
    """What was found in updates at worst: of those that an observer computes, before those that none does.

    A no is that of the attacks that were tried, by name.
    """
    if attacked is None:
        return ""
    together = attacked["together"]
    exact = [
        (bool(found["computed"]), found["share"], attack, round, found)
        for attack, by_how in together.items()
        for round, found in by_how.get("exact", {}).items()
        if round != "all"
    ]
    if together and not exact:
        return "batches of the rounds that were attacked held no samples"
    if not exact:
        asked = [name for name in attacked["unasked"] if name in INVERSIONS]
        return "no attack on samples was tried" + "".join(f", --attack {name} is possible" for name in asked)
    if not (inverted := [each for each in exact if each[-1]["succeeded"]]):
        tried = dict.fromkeys(f"{attack}: {found['verdict']}" for _, _, attack, _, found in exact)
        return f"no sample was rebuilt from exact ones ({'; '.join(tried)})"
    computed, _, attack, round, found = max(inverted, key=lambda each: each[:2])
    whose = "" if computed else ", which none of these observers computes, but who sees all messages does"
    samples = "all samples verbatim" if found["verdict"] == "verbatim" else found["verdict"]
    return f"from the exact ones of round {round}{whose}: {samples} ({attack})"


def _paragraphs(result: Result) -> Iterator[str]:
    plan = result["plan"]
    yield from SURE if plan.get("sure") else LINEAR
    yield from told(result)
    if result["plan"].get("sums", result["settings"]["messages"] == "sums"):
        yield "Nodes see the weighted sums of what they are sent, as by secure aggregation, and no single message."
    if plan["followed"] < plan["rounds"]:
        yield f"Followed are the first {plan['followed']} of {plan['rounds']} rounds; more take too long."
    if plan["unreachable"]:
        yield f"{plan['unreachable']} pairs of node and observer have no way between them: nothing is seen."
    attacked = result["attacked"]
    if attacked is None:
        yield result["unattacked"]
        return
    yield _stated(attacked["assumptions"])
    if attacked["epsilon"] is not None:
        yield (
            f"The nodes trained with differential privacy: epsilon {significant(attacked['epsilon'], 3)} by their own "
            "accountants. That bounds every attack; those here only show what they reach."
        )
    yield (
        "Identified is a sample whose reconstruction is nearer to it than to any other sample of the victim's training "
        "set and as many others, and nearer than the best of the public samples that the attacker has. Skill is 1 less "
        "the error over that of the best public sample: 0 and below is no better than having looked for something "
        "alike. The wrong update is another node's, attacked in the same way: what it identifies is chance. Not "
        "inverted says that these attacks, as they were set, found nothing beyond that; others, or longer ones, might."
    )
    guessed = any(update["how"] == "guessed" for update in attacked["updates"])
    if guessed:
        yield (
            "Exact updates of later rounds belong to those who can solve for them, or see all messages; a neighbour "
            "that cannot takes its own model for that which the node began the round with (guessed), or, where all "
            "rounds were recorded, makes the best linear estimate (blurred)."
        )
    if not all(update["batches_known"] for update in attacked["updates"]):
        yield "The batches of some rounds are not known: there, all that the node trained on counts as true."
    if constant := attacked["constant"]:
        yield (
            "Were updates constant, messages of many rounds would tell those of nodes many hops off "
            f"(arXiv:2402.10001). Here single updates differ from a node's mean by {percent(constant['variation'])} of "
            f"it (median); the table shows how far least squares over {constant['rounds']} rounds is off, where 1 is "
            "as good as to say nothing."
        )
    if attacked["mixed_otherwise"]:
        yield (
            "A method changes models after mixing. Observers know what was mixed, not that: to them it is a part of "
            "the next update, which is attacked here without it."
        )
    if attacked["remembering"]:
        yield (
            f"{_listed(attacked['remembering'])}: after the first round, updates hold earlier gradients too, which "
            "attacks do not take out. Somebody who knows all earlier updates could."
        )
    if attacked["replacing"]:
        yield (
            f"{_listed(attacked['replacing'])}: nodes do not train on the losses of their samples as they are, but, "
            "for example, of mixtures. What is recovered is what they trained on, and nothing is certified."
        )
    mixtures = sorted({update["mixture"] for update in attacked["updates"]} - {""})
    yield from (f"Some updates hold more than their round's gradients: {why}." for why in mixtures)
    if attacked["unfit"]:
        needs = "; ".join(f"{name} needs {NEEDS[name]}" for name in attacked["unfit"])
        yield f"Attacks that this run gives nothing to work on: {needs}."
    if attacked["unasked"]:
        yield f"Not asked for, and possible here: {', '.join(f'--attack {name}' for name in attacked['unasked'])}."


def _listed(names: Sequence[str]) -> str:
    return f"Method{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _stated(assumed: Result) -> str:
    methods = f"; methods: {', '.join(assumed['methods'])}" if assumed["methods"] else ""
    augmented = ", augmented" if assumed["augmentation"] else ""
    return (
        f"Batches of {assumed['batch']}{augmented}, {assumed['local_steps']} local step(s), {assumed['optimizer']}, "
        f"{assumed['parameters']:,} parameters sent in {assumed['precision']}{methods}; the attacker knows the "
        f"network, the learning rate and the size of batches, and labels are {assumed['labels']}."
    )


def _tables(result: Result) -> Iterator[Table]:
    of = "share" if result["plan"].get("sure") else "R²"
    yield Table(
        ("distance", "pairs", "updates", "solved exactly", "pairs with one solved", f"{of}, first round",
         f"{of}, later", "rounding grows up to"),
        [
            (at["distance"], at["pairs"], at["updates"], at["solved"], at["ever_solved"], _shown(at["first"]),
             _shown(at["later"]), _times(at["amplified"]))
            for at in result["plan"]["by_distance"]
        ],
    )  # fmt: skip
    header: tuple[str, ...]
    if pairs := _solved_pairs(result):
        header = ("observer", "computes updates of node", "how many", "rounding grows up to", "relative error")
        yield Table(header, pairs)
    attacked = result["attacked"]
    if attacked is None:
        return
    if constant := attacked["constant"]:
        taken = ("distance", "pairs", "relative error, if updates are taken for constants")
        yield Table(taken, [(at["distance"], at["pairs"], at["error"]) for at in constant["by_distance"]])
    rows = [
        _row(attack, how, round, found)
        for attack, by_how in attacked["together"].items()
        for how, by_round in by_how.items()
        for round, found in by_round.items()
        if round != "all"
    ]
    if rows:
        header = ("attack", "update", "round", "computed by an observer", "identified", "95 %", "wrong update",
                  "certified", "verbatim", "skill", "values right", "of public", "PSNR, dB", "SSIM",
                  "verdict")  # fmt: skip
        yield Table(header, rows)
    if labels := _grouped(attacked, "labels"):
        header = ("labels of update", "round", "updates", "samples", "counted wrong", "wrong if all are alike")
        yield Table(header, [(*group, *_label_row(found)) for group, found in labels.items()])
    if tokens := _grouped(attacked, "tokens"):
        header = ("tokens of update", "round", "updates", "sets exactly right", "tokens in the batches", "found",
                  "of these right", "vocabulary")  # fmt: skip
        yield Table(header, [(*group, *_token_row(found)) for group, found in tokens.items()])


def _solved_pairs(result: Result) -> list[tuple[str | int | float, ...]]:
    """Who computes updates of whom, and by how much these are then off; nothing where there are too many to read."""
    plan, rounding = result["plan"], _rounding(result)
    pairs = [
        (observer, node, solved, grown)
        for observer, *row in zip(plan["observers"], plan["solved"], plan["amplified"], strict=True)
        for node, (solved, grown) in enumerate(zip(*row, strict=True))
        if solved
    ]
    if len(pairs) > READABLE:
        return []
    return [(*pair, _times(grown), _error(grown, rounding.get(pair[1]))) for *pair, grown in pairs]


def _rounding(result: Result) -> dict[int, float]:
    """By how much of itself each node's update, or value that is averaged, is off as float32 was sent; at worst."""
    nodes = range(len(result["plan"]["solved"][0]))
    if result["settings"]["averaging"]:
        return dict.fromkeys(nodes, FLOAT32)
    worst: dict[int, float] = {}
    for update in (result["attacked"] or {"updates": ()})["updates"]:
        if update["how"] == "exact" and update["relative_rounding"]:
            worst[update["victim"]] = max(update["relative_rounding"], worst.get(update["victim"], 0.0))
    return worst


def _times(grown: float | None) -> str:
    return MISSING if grown is None else f"{significant(grown, 3)} times"


def _error(grown: float | None, rounding: float | None) -> str:
    return MISSING if grown is None or rounding is None else f"{grown * rounding:.0e}"


def _grouped(attacked: Result, attack: str) -> dict[tuple[str, int], list[Result]]:
    """What an attack on labels or tokens found, by how updates are seen and by round."""
    groups: dict[tuple[str, int], list[Result]] = {}
    for update, found in zip(attacked["updates"], attacked["attacks"].get(attack) or [None] * len(attacked["updates"]),
                             strict=True):  # fmt: skip
        if found:
            groups.setdefault((update["how"], update["round"]), []).append(found)
    return groups


def _row(attack: str, how: str, round: str, found: Result) -> tuple[str | int | float, ...]:
    between = found["interval"]
    return (
        attack, how, int(round), f"{found['computed']} of {found['victims']}" if how == "exact" else MISSING,
        f"{found['identified']} of {found['samples']}",
        MISSING if between is None else f"{percent(between[0])} to {percent(between[1])}",
        percent(found["wrong"]), found["certified"], found["verbatim"], _shown(found["skill"]),
        *(MISSING if found[name] is None else percent(found[name]) for name in ("close", "close_public")),
        decibels(found["psnr"]), _shown(found["ssim"]), found["verdict"],
    )  # fmt: skip


def _label_row(labels: Sequence[Result]) -> tuple[str | int | float, ...]:
    samples, wrong, even = (sum(each[name] for each in labels) for name in ("samples", "wrong", "even"))
    shares = [percent(each / samples) if samples else MISSING for each in (wrong, even)]
    return len(labels), samples, *shares


def _token_row(tokens: Sequence[Result]) -> tuple[str | int | float, ...]:
    right = sum(each["true"] == each["found"] == each["both"] for each in tokens)
    true, found, both = (sum(each[name] for each in tokens) for name in ("true", "found", "both"))
    return len(tokens), right, true, found, both, tokens[0]["vocabulary"]


def _shown(value: float | None) -> str:
    return MISSING if value is None else fixed(value, 3)
