"""How a part carries what happened in one round into the messages of later ones, told as linear maps.

Accountants of privacy follow an update through all messages that it reaches. The mixed model is one way there; what a
part remembers of earlier models and gradients is another, and only the part can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Change = Mapping[str, Mapping[str, float]]
PARAMETERS, GRADIENT, SENT, MIXED = "parameters", "gradient", "sent", "mixed"
SHARED = frozenset({PARAMETERS, GRADIENT, SENT, MIXED})
HOOKS = (
    "before_round", "early_outgoing", "early_incoming", "combine_gradients", "weigh_gradients", "before_step",
    "after_local_training", "outgoing", "incoming", "mix", "after_mixing", "mixes_with",
)  # fmt: skip


@dataclass(frozen=True)
class Pace:
    """How a node trains in one round: the learning rate and the number of local steps."""

    learning_rate: float
    local_steps: int


@dataclass(frozen=True)
class Memory:
    """What a part assigns at each hook, as linear combinations; ``Memory()`` changes nothing and remembers nothing.

    ``{"buffer": {"buffer": 0.9, "parameters": 0.1}}`` is buffer <- 0.9 buffer + 0.1 parameters. All right sides of a
    hook hold the values from before it. These names are shared, every other one is the part's own and kept from round
    to round:

    * ``parameters``: the node's
    * ``gradient``: of the current step, weight decay included
    * ``sent``: what the mixer sends to every neighbour, to be assigned by the mixer before the messages leave
    * ``mixed``: sum_j w_ij sent_j, for ``mix`` and ``after_mixing``

    Coefficients may depend on settings and on the `Pace`, not on data, nodes or random numbers. What does not depend on
    the state of any node, such as a constant that is added, is left out, and so is what gradients depend on.
    """

    before_round: Change = field(default_factory=dict)
    before_step: Change = field(default_factory=dict)
    after_local_training: Change = field(default_factory=dict)
    mix: Change = field(default_factory=dict)
    after_mixing: Change = field(default_factory=dict)


def overridden_since(part: type, declaration: str, hooks: Iterable[str] = HOOKS) -> list[str]:
    """The ``hooks`` that ``part`` takes from a class further down than the one that has its ``declaration``.

    What a class says of its hooks does not hold of those that a subclass puts in their place.
    """

    def depth(name: str) -> int:
        return next((place for place, base in enumerate(part.__mro__) if name in vars(base)), len(part.__mro__))

    return [hook for hook in hooks if depth(hook) < depth(declaration)]
