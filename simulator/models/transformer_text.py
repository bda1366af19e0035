"""A small transformer for tokens, without any state or random layer."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from simulator.core.errors import wrong
from simulator.core.model import Model
from simulator.core.registry import PartSettings
from simulator.core.specification import InputSpec, OutputSpec
from simulator.models.attention import attention_bias, mean_over_tokens

STD = 0.02  # of initial embeddings, as in GPT-2


class TransformerText(Model):
    """Embeddings of tokens and places, layers of attention, and a linear head (Vaswani et al. 2017, arXiv:1706.03762).

    Normalisation comes before each block, as in GPT-2. For next tokens, a token sees none that comes after it, and
    each has outputs of its own; for other tasks all tokens see each other, and the head sees the mean over them. There
    is no dropout, and attention is written out, so that many models or samples can be computed at once.
    """

    class Config(PartSettings):
        """How large it is: ``width`` of all layers, each with ``heads`` of attention, between which it is divided."""

        name: str = "transformer_text"
        layers: int = Field(2, ge=1)
        heads: int = Field(4, ge=1)
        width: int = Field(64, ge=1)

    config: Config

    takes = frozenset({"tokens"})

    def build(self, inputs: InputSpec, outputs: OutputSpec) -> nn.Module:
        """The network; 141,441 parameters for 128 of 257 tokens, next tokens, and the default size.

        Raises:
            InputError: heads do not divide the width.
        """
        config = self.config
        if config.width % config.heads:
            what = f"{config.heads} heads cannot share a width of {config.width}."
            raise wrong("model.heads", what, "Make width a multiple of heads.")
        return TextNetwork(
            *(inputs.vocabulary, inputs.shape[0], outputs.width),
            *(config.layers, config.heads, config.width),
            causal=outputs.task.by_token,
        )


class TextNetwork(nn.Module):
    """Ids, int64 [B, T], and mask, bool [B, T], to outputs: [B, T, outputs] if ``causal``, else [B, outputs]."""

    def __init__(
        self, vocabulary: int, length: int, outputs: int, layers: int, heads: int, width: int, causal: bool
    ) -> None:
        super().__init__()
        self.causal = causal
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        self.layers = nn.ModuleList(Layer(heads, width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        for embedding in (self.tokens, self.places):
            nn.init.normal_(embedding.weight, std=STD)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Outputs of each sample, which do not depend on what stands at padding."""
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1], device=ids.device))
        bias = attention_bias(mask, self.causal, x.dtype)
        for layer in self.layers:
            x = layer(x, bias)
        x = self.norm(x)
        outputs: Tensor = self.head(x if self.causal else mean_over_tokens(x, mask))
        return outputs


class Layer(nn.Module):
    """Attention and a perceptron, each added to what it is given."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """float [B, T, width] to the same shape, with what `attention_bias` says."""
        x = x + self.attended(self._attend(self.before_attention(x), bias))
        added: Tensor = self.mlp(self.before_mlp(x))
        return x + added

    def _attend(self, x: Tensor, bias: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.queries_keys_values(x).view(batch, length, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # each [B, heads, T, width / heads]
        scores = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
        attended: Tensor = (scores + bias).softmax(dim=-1) @ values
        return attended.transpose(1, 2).reshape(batch, length, width)
