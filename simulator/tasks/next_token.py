"""The next token of a sequence, at each of its places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from simulator.core.registry import PartSettings
from simulator.core.specification import OutputSpec
from simulator.core.task import Sums, Task
from simulator.tasks.scores import why_none
from simulator.tasks.targets import described, refused

PADDING = -100  # the target of places that do not count, as everywhere in PyTorch


class NextToken(Task):
    """Targets are the tokens that come next, int64 [B, T], or -100 at places that do not count; outputs are logits.

    Outputs are [B, T, V] for a vocabulary of V tokens. A sample's loss is the mean over its own tokens, so training
    weighs samples alike; perplexity is exp of the mean over all tokens, which weighs tokens alike.
    """

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "next_token"

    config: Config
    scores: ClassVar[Mapping[str, bool]] = {"perplexity": False, "accuracy": True, "loss": False}
    headline = "perplexity"
    takes_logits = True
    by_token = True

    def specify(self, targets: Tensor, names: Sequence[str], vocabulary: int) -> OutputSpec:
        """One output a token of the vocabulary, at each place.

        Raises:
            InputError: inputs are no tokens, or targets are none of the vocabulary.
        """
        if vocabulary == 0:
            raise refused("inputs are no tokens.", "Choose data of tokens, or another task.")
        if targets.dim() != 2 or targets.dtype != torch.int64:
            what = f"targets are {described(targets)}, and no int64 tokens of shape (samples, length)."
            raise refused(what, "Give the token that follows at each place; of one class a sample: classification.")
        real = targets[targets != PADDING]
        if real.numel() == 0:
            raise refused(f"none of the {targets.numel()} targets is a token.", f"{PADDING} is for padding only.")
        if outside := int(((real < 0) | (real >= vocabulary)).sum()):
            what = f"{outside} of {real.numel()} target tokens are outside 0 to {vocabulary - 1}"
            span = f"they run from {real.min().item()} to {real.max().item()}"
            raise refused(f"{what}: {span}.", f"Set targets of padding to {PADDING}, or enlarge the vocabulary.")
        return OutputSpec(self, vocabulary)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, the mean over the sample's own tokens; 0 for a sample without any."""
        return _of_samples(_of_tokens(outputs, targets), targets)

    def statistics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Tokens, their summed negative log-likelihood, how many were foretold; samples and their summed losses."""
        surprise, real = _of_tokens(outputs.detach(), targets).double(), targets != PADDING
        return {
            "samples": torch.tensor(len(targets)),
            "loss": _of_samples(surprise, targets).sum().cpu(),
            "tokens": real.sum().cpu(),
            "negative_log_likelihood": surprise.sum().cpu(),
            "correct": ((outputs.argmax(dim=2) == targets) & real).sum().cpu(),
        }

    def metrics(self, sums: Sums) -> dict[str, float]:
        """Perplexity, accuracy of the next token, and mean loss of samples."""
        if why_none(sums):
            return {}
        tokens = sums["tokens"]
        values = {
            "perplexity": (sums["negative_log_likelihood"] / tokens).exp(),
            "accuracy": sums["correct"] / tokens.double(),
            "loss": sums["loss"] / sums["samples"],
        }
        return {name: value.item() for name, value in values.items() if value.isfinite()}

    def undefined(self, sums: Sums, names: Sequence[str] = ()) -> dict[str, str]:
        """Perplexity and accuracy of no token, and a perplexity beyond all numbers."""
        if why := why_none(sums):
            return dict.fromkeys(self.scores, why)
        why = "it is larger than any float64" if sums["tokens"] > 0 else "no sample has a token"
        return {name: why for name in self.scores if name not in self.metrics(sums)}

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The logit of the token that came over the largest other one, the mean over the sample's own tokens."""
        own = targets.clamp(min=0)[:, :, None]
        ahead = outputs.gather(2, own)[:, :, 0] - outputs.scatter(2, own, -torch.inf).amax(dim=2)
        return _of_samples(ahead.where(targets != PADDING, 0), targets)

    def baseline(self, targets: Tensor, width: int) -> Tensor:
        """The logarithm of each token's share, with one more of each."""
        return (targets[targets != PADDING].bincount(minlength=width).double() + 1).log().log_softmax(dim=0)


def _of_tokens(outputs: Tensor, targets: Tensor) -> Tensor:
    """[B, T] cross-entropy, 0 at places that do not count."""
    flat = cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=PADDING, reduction="none")
    return flat.reshape(targets.shape)  # with the vocabulary last twice as fast as [B, V, T] would be


def _of_samples(values: Tensor, targets: Tensor) -> Tensor:
    """[B] mean of ``values`` [B, T], 0 at places that do not count, over the other places."""
    return values.sum(dim=1) / (targets != PADDING).sum(dim=1).clamp(min=1)
