"""DP-SGD (Abadi et al. 2016, arXiv:1607.00133) at every node of a network, accounted for node by node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isinf, sqrt
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from methods.differential_privacy.adaptive_clip import AdaptiveClip
from methods.differential_privacy.budget import Budget
from methods.differential_privacy.correlation_in_time import NoiseOverTime, problems
from methods.differential_privacy.dp_sgd_settings import DPSGDSettings
from methods.differential_privacy.private_method import PrivateMethod
from methods.differential_privacy.report import keep
from methods.differential_privacy.stricter_budgets import StricterBudgets
from simulator.core.errors import Problem, wrong
from simulator.core.linear_memory import Memory
from simulator.core.method import traits_of
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.promise import Unit
from simulator.core.sample_gradients import SampleGradients
from simulator.core.samples import Batch
from simulator.core.traits import Traits
from simulator.training.feed import batch_length

CLIP = "privacy/clip"
NOISE = "dp_sgd.noise"  # the purpose of its random numbers
CACHED = 2**14  # numbers drawn at a time: those of a large model would push what is trained out of the cache
UNDERFLOW = 1e-6  # added to norms, as in Opacus


class DPSGD(PrivateMethod):
    """What a node sends hardly depends on any single sample of its training set.

    Every local step, with C the clip, sigma the noise multiplier, n the node's training samples and B the batch size::

        each sample is in the batch with probability q = min(1, B / n), independently
        g = (sum_i g_i min(1, C / |g_i|) + N(0, (sigma C)^2)) / (q n)     # q n samples are expected, however many came

    This is ``sampling: poisson``. With ``cyclic``, each sample has its place in one of b = ceil(n / B) batches, which
    come in turn; with ``shuffled``, places are drawn anew for each pass of b steps; the sum is divided by B as before.
    Either is accounted exactly for whoever knows the places: T steps are mu-GDP with mu = sqrt(ceil(T / b)) / sigma, of
    data sets with the sample and with its place left empty. No tight bound is known for what a secret shuffle adds
    (Chua et al. 2024, arXiv:2411.10614), and Poisson sampling's would be wrong for it; so nothing is promised for that.

    With ``adaptive_clip``, C moves after each step: see `AdaptiveClip`. Noise is in units of the C that clipped that
    step, and a little larger, for what C tells. It is measured as ``privacy/clip``; nodes' clips differ.

    With ``matrix_factorization``, the noise of a step is correlated with that of steps before it, so that some of it is
    taken back later, and models that mix have less (MAFALDA-SGD, Bellet et al. 2026). Cyclic batches keep the steps of
    a sample so far apart that the account is that of independent noise. No such thing helps where samples are in every
    step, or whole nodes are protected, and none is offered there.

    With ``stricter``, some samples are clipped to less than C, so that they have an epsilon of their own, which is
    smaller: see `StricterBudgets`. The node's epsilon is that of all others.

    An empty batch gives noise alone, and counts. Weight decay, momentum, other methods and mixing come after and cost
    nothing more. With ``clipping: per_layer``, each of the K parameter tensors is clipped to C / sqrt(K) (McMahan et
    al. 2018, arXiv:1710.06963), so that the noise is the same.

    The promise: unit one training sample of this node; neighbours, data sets with and without it; observer, anybody,
    also one who sees every message of the node. It covers the parameters; not what a simulation measures, nor the mean
    and deviation of pixels that it normalises images by, which come from everybody's training samples; statistics that
    sites agree on need noise, and count as its first step. Each node has its own sigma, where ``target_epsilon`` asks
    for it, and its own epsilon, measured as ``privacy/epsilon``. Batches and noise are drawn from generators of the
    node alone, keyed by the experiment's seed: that seed stands for a secret of every node, so who attacks may know a
    run's messages, and not its seed. A deployment keys them by real secrets.

    No settings are neutral: batches that are drawn independently are others than shuffled ones. Where the batch is the
    whole set, no gradient is clipped and there is no noise, this is plain SGD up to rounding.
    """

    Config = DPSGDSettings

    config: DPSGDSettings
    unit: ClassVar[str] = "one training sample of the node"
    neighbours: ClassVar[Unit] = "sample"
    neutral: ClassVar[Mapping[str, Any] | None] = None

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """Only the gradient is changed, and nothing remembered."""
        alike = config.clipping == "flat" and not (config.adaptive_clip or config.stricter)
        clip = config.clip if alike else None
        return replace(
            super().traits(config),
            noise="gradients",
            clip=clip,
            sampling=config.sampling,
            memory=Memory(),
            asks_spectrum=bool(config.matrix_factorization) and config.matrix_factorization.workload == "gossip",
        )

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Nothing may leave a node that its gradients have not paid for; correlated noise needs a fixed network."""
        yield from super().check(config, plan)
        if config.matrix_factorization:
            yield from problems(plan, config.matrix_factorization)
        for settings in plan.methods:
            way = traits_of(settings).beside_gradients
            if way:
                what = f"{settings.name} {way}: {config.name} neither protects nor counts that."
                yield Problem("", what, f"Remove {settings.name} or {config.name}.")

    def setup(self, node: Node) -> None:
        """Nothing is spent.

        Raises:
            InputError: the promise would be empty, or cannot be kept.
        """
        self.sample(node)
        samples, size = node.training_set, node.training.batch_size
        rate, length = (samples.rate(size), 1) if self.config.sampling == "poisson" else (1.0, samples.groups(size))
        self.budget = Budget.of(self.config, node, rate, node.training.local_steps, length)
        moves, factors = self.config.adaptive_clip, self.config.matrix_factorization
        self._over_time = NoiseOverTime.of(node, factors, length) if factors else None
        self._stricter = StricterBudgets.of(self.config.stricter, self.budget, node) if self.config.stricter else None
        self._moving = AdaptiveClip(moves, self.config.clip, len(samples) * rate / length) if moves else None
        if self._moving and isinf(self._noise_multiplier):
            sigma, least = self.budget.mechanism.noise_multiplier, self._moving.count_noise
            what = f"a noise of {least:.3g} on the count tells as much as the account of {sigma:.3g} allows in all."
            advice = f"Set more than {sigma / 2:.3g}, or train with larger batches or less noise."
            raise wrong(f"{self.config.name}.adaptive_clip.count_noise", what, advice)

    def sample(self, node: Node) -> None:
        """Let batches be what the accountant takes them for."""
        node.training_set.sample(self.config.sampling)

    def before_round(self, node: Node) -> None:
        """Noise for all steps of the round."""
        if self._over_time:
            self._over_time.begin_round(node, NOISE, self.budget.steps)
        self._rng = node.rng(NOISE)
        self._count_rng = node.rng("dp_sgd.count_noise") if self._moving else None

    def weigh_gradients(self, node: Node, batch: Batch, gradients: SampleGradients) -> None:
        """Clip, add up, blur, and divide by the expected number of samples."""
        total = self.clipped_sum(node, batch, gradients)
        torch.add(total, self.noise(node), out=node.gradient).div_(batch_length(node))
        if self._moving and self._count_rng:
            left = int((gradients.norms() <= self.clip).sum())
            self._moving.move(left, len(gradients), self._count_rng)
        self.budget.steps += 1

    @property
    def clip(self) -> float:
        """C, of the next step."""
        return self._moving.value if self._moving else self.config.clip

    @property
    def _noise_multiplier(self) -> float:
        """Of the noise on gradients."""
        sigma = self.budget.mechanism.noise_multiplier
        return self._moving.noise_multiplier(sigma) if self._moving else sigma

    def clipped_sum(self, node: Node, batch: Batch, gradients: SampleGradients) -> Tensor:
        """float [parameters]: the sum over samples, none of which moves it by more than the clip."""
        if self._stricter:
            return clipped_sum(gradients, self.clip * self._stricter.of_batch(batch).to(node.parameters))
        if self.config.clipping == "flat":
            return clipped_sum(gradients, self.clip)
        norms = gradients.norms_by_tensor()
        return gradients.sum(clip_factors(norms, self.clip / sqrt(norms.shape[1])))

    def noise(self, node: Node) -> Tensor:
        """float [parameters], with standard deviation sigma C."""
        drawn = torch.empty_like(node.parameters)
        for piece in torch.split(drawn, CACHED):
            piece.copy_(torch.from_numpy(self._rng.standard_normal(len(piece))))
        scale = self._noise_multiplier * self.clip
        return self._over_time.next(drawn, self.budget.steps) * scale if self._over_time else drawn.mul_(scale)

    def after_local_training(self, node: Node) -> None:
        """The run ends if another round cannot be afforded."""
        self.budget.end_round(node)

    def measure(self, node: Node) -> Mapping[str, float]:
        """What the node has spent, and its clip where that moves."""
        return {**super().measure(node), **({CLIP: self.clip} if self._moving else {})}

    def finalize(self, node: Node) -> None:
        """Keep what the report tells."""
        more = {"clip": np.array(self.clip)} if self._moving else {}
        if self._stricter:
            more["stricter"] = np.array(self._stricter.epsilons(self.budget.steps))
        keep(node, self.config.name, self.budget, **more)

    def state_dict(self) -> dict[str, Tensor]:
        """Noisy steps taken, the clip where it moves, and the rounds whose noise still counts."""
        moved = {"clip": torch.tensor(self.clip, dtype=torch.float64)} if self._moving else {}
        correlated = {"noise_rounds": self._over_time.state()} if self._over_time else {}
        return super().state_dict() | moved | correlated

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gives."""
        super().load_state_dict(state)
        if self._moving:
            self._moving.value = float(state["clip"])
        if self._over_time:
            self._over_time.restore(state["noise_rounds"])


def clipped_sum(gradients: SampleGradients, clip: float | Tensor) -> Tensor:
    """float [parameters]: sum_i g_i min(1, clip / |g_i|), with one clip or one each."""
    return gradients.sum(clip_factors(gradients.norms(), clip))


def clip_factors(norms: Tensor, clip: float | Tensor) -> Tensor:
    """min(1, clip / norm) of ``norms`` of any shape, with one clip or one each."""
    factors: Tensor = (clip / (norms + UNDERFLOW)).clamp(max=1.0)
    return factors
