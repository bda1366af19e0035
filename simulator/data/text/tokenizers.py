"""From text to tokens: bytes, characters or words, which need no download, or a tokenizer.json of one's own."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.core.paths import place

Choice = Literal["bytes", "characters", "words"] | Path
_WORD = re.compile(r"\w+|[^\w\s]")
_FIRST = 2  # of characters and words; 0 is padding, 1 stands for what is not in the vocabulary


class Tokenizer(ABC):
    """Makes int64 tokens of text.

    Attributes:
        vocabulary: how many tokens there are, padding among them.
        padding: the token that fills short samples up.
    """

    vocabulary: int
    padding: int

    @abstractmethod
    def __call__(self, text: str) -> NDArray[np.int64]:
        """The tokens of ``text``."""


class Bytes(Tokenizer):
    """The bytes of UTF-8, 0 to 255; 256 is padding."""

    vocabulary, padding = 257, 256

    def __call__(self, text: str) -> NDArray[np.int64]:  # noqa: D102
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)


class Listed(Tokenizer):
    """The most frequent pieces of all texts, by number; 0 is padding, and 1 any other piece.

    Attributes:
        pieces: in the order of their numbers, which begin with 2.
    """

    padding = 0

    def __init__(self, texts: Iterable[str], words: bool, size: int | None) -> None:
        self._words = words
        counts = Counter(piece for text in texts for piece in self._cut(text))
        ranked = sorted(counts, key=lambda piece: (-counts[piece], piece))
        self.pieces = tuple(ranked if size is None else ranked[: size - _FIRST])
        self.vocabulary = len(self.pieces) + _FIRST
        self._number = {piece: number for number, piece in enumerate(self.pieces, _FIRST)}

    def __call__(self, text: str) -> NDArray[np.int64]:  # noqa: D102
        return np.array([self._number.get(piece, 1) for piece in self._cut(text)], dtype=np.int64)

    def _cut(self, text: str) -> Sequence[str]:
        return _WORD.findall(text.lower()) if self._words else text


class FromFile(Tokenizer):
    """A ``tokenizer.json`` as Hugging Face's tokenizers write it, without its marks of beginning and end."""

    def __init__(self, path: Path) -> None:
        try:
            import tokenizers
        except ImportError as error:
            what = f"{path.name} is read by tokenizers, which is not installed."
            raise wrong("tokenizer", what, "Install it: pip install 'rumormill[text]'") from error
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # it raises no class more special
            what = f"{path} is no tokenizer: {error}."
            raise wrong("tokenizer", what, "Give the tokenizer.json of a fast tokenizer.") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.vocabulary = self._tokenizer.get_vocab_size()
        self.padding = next((i for name in _PADDING if (i := self._tokenizer.token_to_id(name)) is not None), 0)

    def __call__(self, text: str) -> NDArray[np.int64]:  # noqa: D102
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)


_PADDING = ("[PAD]", "<pad>", "<|endoftext|>", "</s>")


def chosen(choice: Choice, size: int | None, texts: Sequence[str], root: Path) -> Tokenizer:
    """The tokenizer of this name or file; vocabularies are those of all ``texts``, of training and of testing.

    Raises:
        InputError: there is no such file, or it is no tokenizer.
    """
    if isinstance(choice, Path):
        if choice.suffix != ".json":
            what = f"'{choice}' is no tokenizer."
            raise wrong("tokenizer", what, "Write bytes, characters, words, or the path of a tokenizer.json.")
        return FromFile(place(choice, root, "tokenizer"))
    return Bytes() if choice == "bytes" else Listed(texts, choice == "words", size if choice == "words" else None)
