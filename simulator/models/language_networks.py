"""What is put around a language model so that it takes tokens with a mask, and gives a task's outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from simulator.core.errors import wrong
from simulator.core.specification import InputSpec
from simulator.models.attention import attention_bias, mean_over_tokens


class LanguageNetwork(nn.Module):
    """Around a model of Hugging Face's; ``notes`` tell how it was made, ``causal`` whether tokens see no later ones.

    The model is told which token sees which, in full, so that it need not look at values, and vectorises.
    """

    def __init__(self, language_model: nn.Module, causal: bool) -> None:
        super().__init__()
        self.language_model, self.causal = language_model, causal
        self.notes: tuple[str, ...] = ()

    def _run(self, ids: Tensor, mask: Tensor) -> Any:
        dtype = next(self.language_model.parameters()).dtype
        bias = attention_bias(mask, self.causal, dtype)
        return self.language_model(input_ids=ids, attention_mask=bias, use_cache=False)


class Classifier(LanguageNetwork):
    """Ids, int64 [B, T], and mask, bool [B, T], to [B, outputs], by a linear layer on the mean over tokens."""

    def __init__(self, language_model: Any, outputs: int) -> None:
        super().__init__(language_model, causal=_is_causal(language_model))
        self.head = nn.Linear(language_model.config.hidden_size, outputs)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Outputs of each sample."""
        outputs: Tensor = self.head(mean_over_tokens(self._run(ids, mask).last_hidden_state, mask))
        return outputs


class NextTokens(LanguageNetwork):
    """Ids, int64 [B, T], and mask, bool [B, T], to [B, T, outputs], by the model's own head."""

    def __init__(self, language_model: Any, outputs: int) -> None:
        super().__init__(language_model, causal=True)
        self.outputs = outputs  # of embeddings there may be more than tokens

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Outputs of each token."""
        logits: Tensor = self._run(ids, mask).logits
        return logits[..., : self.outputs]


@torch.no_grad()
def check_padding(network: LanguageNetwork, inputs: InputSpec) -> None:
    """Refuse a model whose outputs depend on padding, or on tokens that it is to predict.

    Raises:
        InputError: it does not do as it is told about which token sees which.
    """
    if next(network.parameters()).is_meta:
        return
    length = min(inputs.shape[0], 8)
    ids = torch.arange(length)[None] % inputs.vocabulary
    other = torch.cat([ids[:, :-1], (ids[:, -1:] + 1) % inputs.vocabulary], dim=1)
    mask = torch.arange(length)[None] < length - 1
    network.eval()
    one, two = network(ids, mask), network(other, mask)
    network.train()
    if network.causal and one.dim() == 3:
        one, two = one[:, :-1], two[:, :-1]
    if not torch.allclose(one, two, atol=1e-5):
        what = f"{type(network.language_model).__name__} looks at padding, whatever it is told to attend to."
        raise wrong("model.path", what, "Give a model with attention, such as BERT, GPT-2 or Llama.")


@torch.no_grad()
def _is_causal(language_model: nn.Module) -> bool:
    """Whether no token of the model, left to itself, sees a later one."""
    if next(language_model.parameters()).is_meta:
        return False
    language_model.eval()
    one, two = (language_model(input_ids=torch.tensor([ids])).last_hidden_state for ids in ([1, 2, 3], [1, 2, 4]))
    language_model.train()
    return torch.allclose(one[:, :2], two[:, :2], atol=1e-6)
