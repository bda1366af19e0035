"""What counts alone make of the recipe ``next-token``: ``python tests/benchmarks/next_characters.py``.

Counted are the training documents of the recipe's sites; asked about are all test documents.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator import load_experiment
from simulator.data.dataset import DATASETS

SMOOTHING = 0.01  # added to every count


def perplexities() -> dict[str, float]:
    """Of each character by itself, and by the one before it."""
    data_settings = load_experiment("next-token").to_dict()["data"]
    dataset = DATASETS.load("text").Config.model_validate(data_settings["dataset"])
    data = DATASETS.build(dataset).load(Path())
    sites = [data.site_names.index(name) for name in data_settings["partition"]["sites"]]
    mine = np.isin(data.sites, sites)
    counts = np.full((data.kind.vocabulary,) * 2, SMOOTHING)
    np.add.at(counts, _pairs(data.x_train["ids"][mine], data.y_train[mine]), 1)
    before, following = _pairs(data.x_test["ids"], data.y_test)
    alone = counts.sum(0) / counts.sum()
    given = counts / counts.sum(1, keepdims=True)
    return {"by itself": _perplexity(alone[following]), "by the one before": _perplexity(given[before, following])}


def _pairs(ids: NDArray[np.int64], following: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    real = following >= 0
    return ids[real], following[real]


def _perplexity(probabilities: NDArray[np.float64]) -> float:
    return float(np.exp(-np.log(probabilities).mean()))


if __name__ == "__main__":
    print(json.dumps(perplexities()))
