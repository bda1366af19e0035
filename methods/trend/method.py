"""Which node quantizes its images how, and whose parameters mix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from methods.trend import report
from methods.trend.quantizers import Halftone, Uniform
from simulator.core.errors import Problem
from simulator.core.input_transform import InputTransform
from simulator.core.linear_memory import Memory
from simulator.core.method import Method
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.report import FinishedRun, Section
from simulator.core.traits import Traits
from simulator.mixers.gossip import Gossip


def _known(kind: int | str | None) -> int | str | None:
    if isinstance(kind, int) and not 1 <= kind <= 8:
        raise ValueError(f"a pixel has 1 to 8 bits, and these are {kind}; null leaves images as they are")
    if isinstance(kind, str) and kind != "halftone":
        raise ValueError(f"'{kind}' is no quantizer: give 1 to 8 bits, halftone, or null for none")
    return kind


Kind = Annotated[int | str | None, AfterValidator(_known)]


class Trend(Method):
    """Nodes see their images through input quantizers of different coarseness (Ravikumar et al., arXiv:2008.01524).

    Adversarial examples made for one network fool another one less where the two quantize their inputs differently, so
    an ensemble of such networks resists transferred attacks better. Node i has quantizer ``bits[i mod len(bits)]`` and
    uses it in training, evaluation and whenever it is asked; its images stay where they are, as they are. How much is
    gained, and against whom, is for the audit ``robustness`` to measure.

    What travels is the question here, since averaging pulls the networks together. ``share: everything`` gossips all
    parameters; ``same_bits`` only between neighbours with equal quantizers, so that the graph falls into parts; under
    ``nothing`` no parameters travel. The weight of a link that is not used goes back to the node, on both sides, which
    keeps a symmetric W symmetric; of a directed one, columns then no longer sum to 1. Other methods' messages
    travel over all links: with ``nothing`` and ``idkd`` (``threshold: none``) after it, nodes exchange logits on public
    images and nothing else.
    """

    class Config(PartSettings):
        """How nodes quantize their images, and who shares parameters with whom.

        Attributes:
            bits: the quantizers by node, repeated as often as there are nodes: 1 to 8 bits, halftone, or null for none.
            share: whose parameters mix.
        """

        name: str = "trend"
        bits: tuple[Kind, ...] = Field((None, 1, 2, 3), min_length=1)
        share: Literal["everything", "same_bits", "nothing"] = "everything"

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"bits": (8, None)}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """Images are changed, and which links carry parameters."""
        return Traits(
            needs=frozenset({"images"}),
            stackable=True,
            beside_gradients=None,
            keeps_apart=config.share != "everything",
            memory=Memory(),
        )

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Only plain gossip can leave links out."""
        if cls.traits(config).keeps_apart and not isinstance(plan.mixer, Gossip.Config):
            what = f"some links carry no parameters, and {plan.mixer.name} needs every link."
            yield Problem("share", what, "Set mixer: gossip, or share: everything.")

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """Accuracy by quantizer."""
        return report.sections(lambda number: str(quantizer(config, number) or "none"), record)

    def input_transform(self, number: int) -> InputTransform | None:
        """The node's quantizer."""
        return quantizer(self.config, number)

    def mixes_with(self, number: int, other: int) -> bool:
        """As ``share`` says."""
        alike = quantizer(self.config, number) == quantizer(self.config, other)
        return {"everything": True, "same_bits": alike, "nothing": False}[self.config.share]


def quantizer(config: Trend.Config, number: int) -> InputTransform | None:
    """That of node ``number``; None where its images stay as they are."""
    kind = config.bits[number % len(config.bits)]
    if isinstance(kind, int):
        return Uniform(kind)
    return None if kind is None else Halftone()
