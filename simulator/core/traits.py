"""What parts declare of themselves, for those who must know it before a run. What is not said is read strictly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from simulator.core.linear_memory import Memory, Pace

NEEDS = {
    "public_data": "Give the nodes a public set, for example data.public: {dataset: photo_patches, samples: 1000}.",
    "classes": "Predict one of several classes a sample: task: classification.",
    "margins": "Choose a task that knows by how much an answer is preferred: classification, binary, multilabel, ...",
    "images": "Take a data set of images.",
    "tokens": "Take a data set of tokens, such as text.",
    "continuous_inputs": "Take samples that are numbers and no tokens, such as images or tables.",
    "exits": "Choose a network with internal classifiers, for example model: multi_exit_video.",
    "validation_data": "Set aside a share of each node's pool, for example data.validation: 0.1.",
    "verified_data": "Set aside a small clean part of each node's pool, for example data.verified: {share: 0.05}.",
}
Sampling = Literal["poisson", "cyclic", "shuffled"]  # of batches; see `TrainingSet.sample`
OF_SAMPLES = frozenset({"images", "tokens", "continuous_inputs"})  # which are known once samples have been read
UNDECLARED = "does not declare whether private samples get into its messages otherwise than by gradients"
UNDECLARED_OF_MODELS = "does not declare whether private samples get into its messages otherwise than by models"


@dataclass(frozen=True, kw_only=True)
class Remembering:
    """What methods and mixers declare alike.

    Attributes:
        memory: by what linear maps an update reaches later messages otherwise than by mixing: a `Memory`, or a function
            that makes one for a round's `Pace`. ``Memory()`` says that it does not; None says nothing, and exact
            accounts of privacy refuse that.
    """

    memory: Memory | Callable[[Pace], Memory] | None = None

    def memory_at(self, pace: Pace) -> Memory | None:
        """The linear maps of a round at ``pace``; None where nothing is declared."""
        return self.memory(pace) if callable(self.memory) else self.memory


@dataclass(frozen=True, kw_only=True)
class Traits(Remembering):
    """What a method declares under its settings.

    Attributes:
        needs: what the experiment must offer, by names in `NEEDS`.
        stackable: whether nodes with the method can be trained in step with each other, by the stacked trainer. Not
            where ``per_sample_loss`` differentiates through ``node.model``, or looks at what other nodes' steps change.
        row_wise: whether the loss of a sample depends on that sample alone. Where not, there is no gradient sample by
            sample, and methods with gradients by sample are refused beside this one. Beside them it is looked at in
            every round, and one that says so falsely ends the run.
        losses: what ``per_sample_loss`` does with the losses that it is given. One that replaces them throws away what
            methods before it made of them, and is refused after one that changes them. One that says that it watches,
            and returns others, ends the run.
        changes_steps: whether ``before_round`` may set ``node.local_steps``, so that nodes take different numbers of
            steps. One that does so undeclared ends the run.
        may_stop: whether ``node.stop`` may be called: then no round begins before the last one is over everywhere. A
            call undeclared ends the run with an error.
        keeps_apart: whether ``mixes_with`` may say no. One that does so undeclared is refused.
        beside_gradients: how private samples get into what the node sends by other ways than the gradients of its
            steps, as the end of a sentence that begins with the method's name; None where they do not. Gradients made
            private do not cover it.
        noise: on what the method puts Gaussian noise, if it does: on the gradient of every step, on the clipped update
            of a round, or on that as each message shows it, another one for each receiver. Accountants read its
            settings ``noise_multiplier`` and ``clip``.
        clip: the largest norm that it leaves each sample's gradient, as one vector and in every step; None: it leaves
            none, or another.
        sampling: how it lets steps draw samples, where it does; see `TrainingSet.sample`.
        asks_spectrum: whether it asks for `Node.spectrum`.
        secret_randomness: whether its random numbers protect the node, as all noise does. In a deployment, all its
            numbers then come from `Secrets` of its own, and not from the experiment's seed.
        exchanges: messages that every pair of neighbours exchanges before the local steps of a round.
    """

    needs: frozenset[str] = frozenset()
    stackable: bool = False
    row_wise: bool = False
    losses: Literal["watches", "changes", "replaces"] = "replaces"
    changes_steps: bool = False
    may_stop: bool = False
    keeps_apart: bool = False
    beside_gradients: str | None = UNDECLARED
    noise: Literal["gradients", "updates", "messages"] | None = None
    clip: float | None = None
    sampling: Sampling | None = None
    asks_spectrum: bool = False
    secret_randomness: bool = False
    exchanges: int = 0

    def __post_init__(self) -> None:
        if unknown := sorted(self.needs - NEEDS.keys()):
            raise ValueError(f"no experiment can offer {unknown[0]!r}: needs are among {', '.join(NEEDS)}")


@dataclass(frozen=True, kw_only=True)
class MixerTraits(Remembering):
    """What a mixer declares under its settings.

    Attributes:
        pairwise: whether two neighbours can average at any time, one asking and the other answering, as asynchronous
            runs have it.
        sends_early: whether what it sends is known before the local steps, so that it can leave before them.
        sums: whether nodes can make out the weighted sum of all that they hear in a round, and no single message; of an
            incomplete one they make out nothing, and keep the model that they have. What hides the rest follows from
            `Secrets` of each two nodes that share a receiver.
        sends_models: whether the part "parameters" of every message is its sender's whole model, and no difference,
            sum or code, so that a receiver can compare it with its own, and a node that lies send another one.
        shows_trained: whether the model that a message shows (see `Mixer.shown`) is the sender's just after local
            training, so that its difference from the one that the round began with is an update.
        beside_models: how private samples get into what the mixer sends by other ways than the models that training has
            left at the node, as the end of a sentence that begins with the mixer's name; None where they do not. Models
            made private do not cover it.
        weighs_models: whether what a model weighs depends on what the models are. Mixing is then not linear, and
            does not guard what is averaged beside models, such as running statistics or trackers.
    """

    pairwise: bool = False
    sends_early: bool = False
    sums: bool = False
    sends_models: bool = False
    shows_trained: bool = False
    weighs_models: bool = False
    beside_models: str | None = UNDECLARED_OF_MODELS
