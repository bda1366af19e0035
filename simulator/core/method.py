"""What a node does beyond plain SGD, as an ordered list of methods with optional hooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from simulator.core.declaration import Declared
from simulator.core.errors import Problem
from simulator.core.input_transform import InputTransform
from simulator.core.message import Message
from simulator.core.plan import Plan
from simulator.core.promise import Promise
from simulator.core.registry import Part, PartSettings, Registry
from simulator.core.report import FinishedRun, Section
from simulator.core.sample_gradients import SampleGradients
from simulator.core.samples import Batch
from simulator.core.soft_labels import SoftLabels
from simulator.core.traits import Traits

if TYPE_CHECKING:
    from simulator.core.node import Node


class Method(Part):
    """Override the hooks you need; each default does nothing.

    The order of things, with every hook in its place::

        input_transform, setup
        for each round:
            before_round
            for each exchange before training that its `Traits` declare:
                early_outgoing                        # once a neighbour
                ---- messages travel ----
                early_incoming                        # once, with all messages
            for each local step:
                losses = cross_entropy(model(images), targets), one a sample
                losses = per_sample_loss(losses)          # losses[i] of sample i alone, if row_wise
                losses.mean().backward(), or combine_gradients, or weigh_gradients
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
    """

    neutral: ClassVar[Mapping[str, Any] | None] = {}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """What the method declares under ``config``; by default nothing, which is read strictly."""
        return Traits()

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Problems of ``config`` within ``plan``; ``where`` is counted from the method's own block."""
        return ()

    @classmethod
    def check_network(cls, config: Any, network: nn.Module) -> Iterable[Problem]:
        """Problems of ``config`` with the network that the nodes train; counted as in `check`."""
        return ()

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """What this method has to say in the report of a finished run."""
        return ()

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
        """float [B]: the losses to train on; row i depends on sample i only where `traits` say row_wise."""
        return losses

    def combine_gradients(self, node: Node, batch: Batch, gradients: Tensor) -> None:
        """Write into ``node.gradient`` what to make of the samples' gradients; by default, that is their mean.

        At most one method overrides this or `weigh_gradients`. Only then are ``gradients`` computed sample by sample:
        float [B, parameters], without weight decay, to be changed at will. B may be 0 where the training set is
        sampled independently.
        """

    def weigh_gradients(self, node: Node, batch: Batch, gradients: SampleGradients) -> None:
        """As `combine_gradients`, for what needs no more of them than their norms and sums: that takes far less time.

        They are not written out where the network is made of layers that allow it.
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

    def early_outgoing(self, node: Node, message: Message) -> Message:
        """The message of an exchange before local training, as it shall leave; ``message.exchange`` says which one."""
        return message

    def early_parts(self, node: Node, sender: int, round: int, exchange: int) -> Mapping[str, Declared]:
        """What ``early_outgoing`` adds to messages of node ``sender`` in an ``exchange`` of ``round``; see `parts`."""
        return {}

    def early_incoming(self, node: Node, exchange: int, inbox: Sequence[Message]) -> None:
        """Take in the messages of an ``exchange`` before local training, ordered by sender."""

    def objection(self, node: Node, message: Message) -> str | None:
        """What is wrong with a message whose parts are as declared; see `Mixer.objection`."""
        return None

    def incoming(self, node: Node, message: Message) -> Message:
        """The message as the next hook, and at last the mixer, shall see it."""
        return message

    def after_mixing(self, node: Node) -> None:
        """The round's parameters are final."""

    def promise(self, node: Node) -> Promise | None:
        """What the method's noise promises of the node's data, from its set-up on; None: nothing that is accounted for.

        A site whose policy asks for differential privacy asks this before anything leaves the node.
        """
        return None

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


def traits_of(settings: PartSettings) -> Traits:
    """What the method that ``settings`` name declares under them."""
    return METHODS.load(settings.name).traits(settings)
