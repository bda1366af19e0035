"""What a node does beyond plain SGD, as an ordered list of methods with optional hooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from simulator.core.declaration import Declared
from simulator.core.errors import Problem
from simulator.core.input_transform import InputTransform
from simulator.core.linear_memory import Memory, Pace
from simulator.core.message import Message
from simulator.core.plan import Plan
from simulator.core.registry import Part, Registry
from simulator.core.report import FinishedRun, Section
from simulator.core.samples import Batch
from simulator.core.soft_labels import SoftLabels

if TYPE_CHECKING:
    from simulator.core.node import Node

NEEDS = {
    "public_data": "Give the nodes a public set, for example data.public: {dataset: photo_patches, samples: 1000}.",
    "exits": "Choose a network with internal classifiers, for example model: multi_exit_video.",
    "validation_data": "Set aside a share of each node's pool, for example data.validation: 0.1.",
    "verified_data": "Set aside a small clean part of each node's pool, for example data.verified: {share: 0.05}.",
}


class Method(Part):
    """Override the hooks you need; each default does nothing.

    The order of things, with every hook in its place::

        input_transform, setup
        for each round:
            before_round
            for each local step:
                losses = cross_entropy(model(images), targets), one a sample
                losses = per_sample_loss(losses)          # losses[i] may depend on sample i only
                losses.mean().backward(), or combine_gradients
                gradient += weight_decay * parameters
                before_step                               # node.gradient may be changed in place
                the optimizer moves node.parameters
            after_local_training
            outgoing                                      # once a neighbour, in list order
            ---- messages travel ----
            incoming                                      # once a message, in reverse list order
            the mixer mixes
            after_mixing                                  # in reverse list order
            measure, variant                              # where nodes are evaluated
        finalize                                          # and, after it, measure and variant once more

    One instance serves one node and sees nothing but that node. State lives in ``self`` and survives `state_dict` and
    `load_state_dict`; randomness comes from ``node.rng(purpose)`` only.

    Attributes:
        neutral: settings under which training is bit-identical to not using the method (tested for every method);
            None where there can be none, with the reason in the class docstring.
        stackable: whether nodes with this method can be trained in step with each other, by the stacked trainer. Not
            where ``per_sample_loss`` differentiates through ``node.model``, or looks at what other nodes' steps change.
        row_wise: whether the loss of a sample depends on that sample alone. Where not, there is no gradient sample by
            sample, and methods with ``combine_gradients`` are refused beside this one.
        beside_gradients: how private samples get into what the node sends by other ways than the gradients of its
            steps, as the end of a sentence that begins with the method's name; empty where they do not. Gradients made
            private do not cover it.
        protects: whether its random numbers protect the node. In a deployment, all the node's numbers then come from
            `Secrets` of its own, and not from the experiment's seed.
    """

    neutral: ClassVar[Mapping[str, Any] | None] = {}
    stackable: ClassVar[bool] = True
    row_wise: ClassVar[bool] = True
    beside_gradients: ClassVar[str] = ""
    protects: ClassVar[bool] = False

    @classmethod
    def needs(cls, config: Any) -> frozenset[str]:
        """What the experiment must offer under ``config``: names in `NEEDS`; checked before the run starts."""
        return frozenset()

    @classmethod
    def changes_steps(cls, config: Any) -> bool:
        """Whether ``before_round`` sets ``node.local_steps``, so that nodes may take different numbers of steps."""
        return False

    @classmethod
    def loss_use(cls, config: Any) -> Literal["watches", "changes", "replaces"]:
        """What ``per_sample_loss`` does with the losses that it is given, where it is overridden.

        One that replaces them throws away what methods before it made of them, and is refused after one that changes.
        """
        return "changes"

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Problems of ``config`` within ``plan``; ``where`` is counted from the method's own block."""
        return ()

    @classmethod
    def may_stop(cls, config: Any) -> bool:
        """Whether it may call ``node.stop``: then no round begins before the last one is over everywhere."""
        return False

    @classmethod
    def check_network(cls, config: Any, network: nn.Module) -> Iterable[Problem]:
        """Problems of ``config`` with the network that the nodes train; counted as in `check`."""
        return ()

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """What this method has to say in the report of a finished run."""
        return ()

    @classmethod
    def keeps_apart(cls, config: Any) -> bool:
        """Whether `mixes_with` may say no."""
        return False

    @classmethod
    def memory(cls, config: Any, pace: Pace) -> Memory | None:
        """By what linear maps an update reaches later messages otherwise than by mixing; None: nobody says.

        `Memory()` says that it does not. Exact accounts of privacy refuse what nobody says, and what is not linear.
        """
        return None

    @classmethod
    def labels_told(cls, config: Any, parts: Mapping[str, Tensor], sender: int, classes: int) -> SoftLabels | None:
        """How a message with ``parts`` says that its sender labels public samples, for audits; None: it does not."""
        return None

    def input_transform(self, number: int) -> InputTransform | None:
        """What node ``number`` of its network does to all its images; None: nothing. At most one method may say."""
        return None

    def mixes_with(self, number: int, other: int) -> bool:
        """Whether parameters travel between the neighbours ``number`` (this node) and ``other``; both say the same.

        Where they do not, the weight of the link goes back to the node; other parts of messages travel still.
        """
        return True

    def setup(self, node: Node) -> None:
        """Once, before the first round (again in a resumed run, before its state is loaded)."""

    def before_round(self, node: Node) -> None:
        """Before local training."""

    def per_sample_loss(self, node: Node, batch: Batch, logits: Tensor, losses: Tensor) -> Tensor:
        """float [B]: the losses to train on; row i may depend on sample i only, unless ``row_wise`` is False."""
        return losses

    def combine_gradients(self, node: Node, batch: Batch, gradients: Tensor) -> None:
        """Write into ``node.gradient`` what to make of the samples' gradients; by default, that is their mean.

        At most one method overrides this. Only then are ``gradients`` computed sample by sample: float [B, parameters],
        without weight decay, to be changed at will. B may be 0 where the training set is sampled independently.
        """

    def before_step(self, node: Node, batch: Batch) -> None:
        """``node.gradient`` holds the mean gradient with weight decay; change it in place."""

    def after_local_training(self, node: Node) -> None:
        """After the last local step, before anything is sent."""

    def outgoing(self, node: Node, message: Message) -> Message:
        """The message as it shall leave for ``message.receiver``."""
        return message

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """What ``outgoing`` adds to messages of node ``sender`` of its network in ``round``; by default nothing.

        Both ends ask: a part that nobody declares is not sent, and in a deployment a message with such a part, or with
        values out of bounds, is refused before ``incoming`` sees it.
        """
        return {}

    def objection(self, node: Node, message: Message) -> str | None:
        """What is wrong with a message whose parts are as declared; see `Mixer.objection`."""
        return None

    def incoming(self, node: Node, message: Message) -> Message:
        """The message as the next hook, and at last the mixer, shall see it."""
        return message

    def after_mixing(self, node: Node) -> None:
        """The round's parameters are final."""

    def measure(self, node: Node) -> Mapping[str, float]:
        """Metrics of a node that is being evaluated, by name; the live table shows the largest over nodes."""
        return {}

    def finalize(self, node: Node) -> None:
        """After the last round, before the last evaluation."""

    def variant(self, node: Node) -> Tensor | None:
        """float [parameters]: a changed copy of the model, evaluated under the method's name; None for none.

        Nothing of the node may change.
        """
        return None

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive between rounds, as named tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""


METHODS: Registry[Method] = Registry("methods")
