"""The data set ``text``: documents, in windows of tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.core.acting import GIVEN, Acts, If
from simulator.core.errors import wrong
from simulator.core.registry import PartSettings
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.gathered import Gathered, Share
from simulator.data.kinds.tokens import Tokens
from simulator.data.targets import Targets, read_targets
from simulator.data.text import documents, tokenizers, windows


class Text(Dataset):
    """Documents of CSV, JSON lines or Parquet files, or of a folder of .txt files, cut into windows of tokens.

    Windows of one document are a group, which no split cuts through. Without a target, each token is to be predicted
    from those before it: targets are the tokens that follow, -100 where there is none.
    """

    class Config(PartSettings):
        """Where the documents are, and how they become tokens.

        Attributes:
            path: a file, several, or a folder of files: absolute, relative to the data root, or inside an installed
                package (``package:NAME/FILE``).
            text: the column with the text.
            text_file: instead, the path of each row's text file from the folder of the rows' file, with names of
                columns in braces: ``speeches/{fileid}.txt``.
            target: the column with a document's class; of a folder of .txt files, "folder". None: the next token.
            site: the column that says where a document comes from ("folder"; "file": of several files, each is one).
            group: the column that says which documents belong together; by default each stands alone.
            length: of windows, in tokens.
            tokenizer: "bytes" (257 tokens), "characters" or "words" of the texts themselves, or a tokenizer.json.
            vocabulary: how many tokens "words" has at most; rarer words share one.
            test: the share of each site's windows to test with, drawn by whole documents; or where test documents are.
            seed: of drawing them.
        """

        acts: ClassVar[Acts] = {"vocabulary": If(tokenizer="words"), "seed": If(test=GIVEN)}

        name: str = "text"
        path: Path | tuple[Path, ...]
        text: str | None = None
        text_file: str | None = None
        target: str | None = None
        site: str | None = None
        group: str | None = None
        length: int = Field(default=128, ge=2)
        tokenizer: tokenizers.Choice = "bytes"
        vocabulary: int = Field(default=8192, ge=3)
        test: Share | Path | None = 0.2
        seed: int = Field(default=0, ge=0)

    config: Config

    def load(self, root: Path) -> ArrayData:
        """Read all documents, make tokens of them, and cut those.

        Raises:
            InputError: there are no such files or columns, or not a single window.
        """
        config = self.config
        read = [documents.found(config.path, root, config.text, config.text_file, "path")]
        if isinstance(config.test, Path):
            read.append(documents.found(config.test, root, config.text, config.text_file, "test"))
        texts = [text for part in read for text in part.texts]
        tokenizer = tokenizers.chosen(config.tokenizer, config.vocabulary, texts, root)
        cut = windows.cut(
            [tokenizer(text) for text in texts],
            config.length,
            tokenizer.padding,
            tokenizer.vocabulary,
            shift=config.target is None,
        )
        if not len(cut.document):
            raise wrong("path", "no document has enough tokens for a sample.", "Give longer texts.")
        gathered = Gathered(
            inputs=cut.inputs,
            kind=Tokens(tokenizer.vocabulary),
            targets=self._targets(read, cut),
            is_test=(cut.document >= len(read[0].texts)) if len(read) > 1 else None,
            groups=self._known(read, "group", cut) if config.group else cut.document,
            sites=self._known(read, "site", cut) if config.site else None,
            notes=tuple(self._notes(read, cut)),
        )
        share = config.test
        return (gathered.held_back(share, config.seed) if isinstance(share, float) else gathered).divided()

    def _known(self, read: list[documents.Documents], setting: str, cut: windows.Windows) -> NDArray[Any]:
        """What the column that ``setting`` names says of each window's document."""
        name = getattr(self.config, setting)
        return np.concatenate([part.column(name, setting) for part in read])[cut.document]

    def _targets(self, read: list[documents.Documents], cut: windows.Windows) -> Targets:
        if self.config.target is None:
            return Targets(cut.following, ())
        return read_targets(self.config.target, self._known(read, "target", cut), "auto")

    def _notes(self, read: list[documents.Documents], cut: windows.Windows) -> list[str]:
        count, used = sum(len(part.texts) for part in read), len(np.unique(cut.document))
        notes = [f"{used:,} documents are cut into {len(cut.document):,} windows of {self.config.length} tokens"]
        if self.config.tokenizer in ("characters", "words"):
            notes.append("the vocabulary is that of all documents together, whichever site they are of")
        if used < count:
            names = [name for part in read for name in part.names]
            short = [names[number] for number in np.setdiff1d(np.arange(count), cut.document)[:5]]
            notes.append(f"{count - used:,} documents are too short and left out, such as {', '.join(short)}")
        return notes
