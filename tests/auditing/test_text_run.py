"""An audit of a run on documents that belong to authors: signals of tokens, in threads, and groups from the data."""

import json

import numpy as np
import pytest

from auditing.membership.audit import MembershipAudit
from simulator import load_experiment, run
from simulator.core.errors import InputError
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import audit

READER = """
import torch
from torch import nn

class Reader(nn.Module):
    def __init__(self, vocabulary, length, outputs, width=8):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.head = nn.Linear(width, outputs)

    def forward(self, ids, mask):
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        return self.head((x + (x * mask[..., None]).cumsum(1)).tanh())
"""


def test_tokens_and_their_authors(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["ring", "node", "graph", "leak", "round"], 30)) for _ in range(48)]
    lines = [json.dumps({"text": text, "author": f"a{k // 2}"}) for k, text in enumerate(texts)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    (tmp_path / "reader.py").write_text(READER)
    monkeypatch.chdir(tmp_path)
    dataset = {"name": "text", "path": "t.jsonl", "text": "text", "group": "author", "length": 16, "tokenizer": "words"}
    experiment = {
        "name": "authors",
        "rounds": 2,
        "topology": {"graph": "ring", "nodes": 3},
        "data": {"dataset": dataset, "root": str(tmp_path), "partition": "iid", "held_out": 0.5, "validation": 0},
        "task": {"name": "next_token"},
        "model": {"name": "reader.py:Reader"},
        "training": {"local_steps": 10, "batch_size": 8, "optimizer": {"lr": 0.5}},
        "backend": {"name": "local", "workers": 1},
    }
    done = run(load_experiment(experiment), tmp_path / "runs")
    signals = ("embedding_gradient", "gradient_norm", "embedding_curvature", "loss")
    config = MembershipAudit.Config(signals=signals, resamples=5, views=("final_model",))
    result = AuditFolder(audit(done.path, config)).result()
    assert [*result["attacks"]] == [f"{signal}, threshold" for signal in signals]
    assert result["groups"]
    assert result["members"] == result["non_members"] < result["candidates"] / 2
    with pytest.raises(InputError, match=r"curvature_hvp needs continuous inputs[\s\S]*Ask for .*embedding_gradient"):
        audit(done.path, MembershipAudit.Config(signals=("curvature_hvp",)))
