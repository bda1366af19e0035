"""Every method on samples that are no images: it runs to its report, or is refused before the run."""

import numpy as np
import pytest
from reference.marks import MANY

from simulator import load_experiment, run
from simulator.core.errors import InputError
from simulator.core.method import METHODS
from simulator.runs.report import write_run_report

ACTIVE = {
    "dp_sgd": {"noise_multiplier": 1.0},
    "node_dp": {"noise_multiplier": 1.0},
    "idkd": {"first_round": 2, "threshold": "none"},
    "ltc": {"after": 3, "use": "coreset"},
    "finetune_verified": {"use": "replace"},
}
REFUSED = {"pkd", "trend"}  # which are about images
VOCABULARY = 9


def tables(rng):
    return {f"x_{name}": rng.normal(size=(size, 5)).astype(np.float32) for name, size in (("train", 160), ("test", 20))}


def tokens(rng):
    return {f"x_{name}": rng.integers(0, VOCABULARY, (size, 6)) for name, size in (("train", 160), ("test", 20))}


BY_DEFAULT = {"dp_sgd", "idkd", "ltc", "pkd", "verifix"}  # the others by hand


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        *(pytest.param(name, tables, marks=() if name in BY_DEFAULT else MANY) for name in METHODS.names()),
        *(pytest.param(name, tokens, marks=() if name in BY_DEFAULT else MANY) for name in METHODS.names()),
    ],
)
@pytest.mark.slow
def test_it_runs_to_its_report_or_is_refused_before(name, samples, tmp_path):
    rng, out = np.random.default_rng(0), tmp_path / "runs"
    np.savez(tmp_path / "d.npz", **samples(rng), y_train=np.arange(160) % 2, y_test=np.arange(20) % 2)
    dataset = {"name": "npz", "path": str(tmp_path / "d.npz")}
    model = {"name": "mlp", "hidden": [4]}
    if samples is tokens:
        dataset["vocabulary"], model = VOCABULARY, {"name": "transformer_text", "width": 8, "heads": 2, "layers": 1}
    public = [{"dataset": dataset, "samples": 12}] if name == "idkd" else []
    content = {
        "name": "other",
        "rounds": 4,
        "topology": {"graph": "ring", "nodes": 3, "weights": "lazy"},
        "data": {"dataset": dataset, "validation": 0.2, "verified": {"share": 0.2}, "public": public},
        "model": model,
        "methods": [{"name": name, **ACTIVE.get(name, {})}],
    }
    if name in ("neighbourhood_gradient_clustering", "cross_feature_contrastive_loss"):
        content["mixer"] = {"name": "gossip", "order": "combine_then_adapt"}
    try:
        done = run(load_experiment(content), out)
    except InputError as error:
        refusal = str(error)
        assert name in REFUSED or "needs continuous inputs" in refusal or "cannot correct" in refusal
        assert not out.exists() or not list(out.iterdir())
        return
    assert name not in REFUSED
    assert done.status == "finished"
    assert write_run_report(done.directory).exists()
