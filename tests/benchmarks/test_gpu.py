"""The benchmark of GPUs, as far as it goes without one: all its pieces at tiny size, its budget, and what it needs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from reference.pretended_gpu import pretended_gpu

from simulator.training.feed import stacked_batches

FOLDER = Path(__file__).parent
TINY = ["--device", "cpu", "--batch", "4", "--steps", "1", "--matrix", "64", "--seconds", "0.01"]
STATES = ("done", "skipped")
# What is asked for that the measurements do without; of the rest, torch brings what it needs.
WITHOUT = """
from functools import partial
from importlib.machinery import PathFinder

def found(find, name, *given):
    return None if name.partition(".")[0] in {names} else find(name, *given)

PathFinder.find_spec = partial(found, PathFinder.find_spec)
"""
MISSING = (
    *("torchvision", "ray", "flwr", "grpc", "httpx", "starlette", "uvicorn", "cryptography", "opacus"),
    *("dp_accounting", "typer", "rich", "yaml", "matplotlib", "sklearn", "threadpoolctl", "PIL", "av"),
    *("pandas", "pyarrow", "tensorboard", "psutil"),
)


def benchmark(out, *options, environment=None):
    command = [sys.executable, str(FOLDER / "gpu.py"), "--out", str(out), *TINY, *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture
def scripts(monkeypatch):
    """The modules of the benchmark, as they are when it is started."""
    monkeypatch.syspath_prepend(FOLDER)
    import gpu
    import gpu_measures

    yield gpu, gpu_measures
    for name in ("gpu", "gpu_measures", "gpu_page"):
        sys.modules.pop(name, None)


def pieces(path):
    return {piece["name"]: piece for piece in json.loads(path.read_text())["pieces"]}


def report(gpu, tmp_path, minutes=1.0, most=9.0, **works):
    return gpu.Report(tmp_path / "gpu.json", minutes, [gpu.Piece(name, work, most) for name, work in works.items()])


def test_an_error_is_written_down_and_the_rest_goes_on(scripts, tmp_path):
    def fails():
        raise torch.OutOfMemoryError("CUDA out of memory")

    def has_none():
        raise scripts[1].Skipped("there is none")

    assert not report(scripts[0], tmp_path, one=fails, two=has_none, three=lambda: {"value": 3}).work()
    found = pieces(tmp_path / "gpu.json")
    assert (found["one"]["state"], found["one"]["why"]) == ("failed", "OutOfMemoryError: CUDA out of memory")
    assert (found["two"]["state"], found["two"]["why"]) == ("skipped", "there is none")
    assert (found["three"]["state"], found["three"]["found"]) == ("done", {"value": 3})
    assert "- one: failed: OutOfMemoryError: CUDA out of memory" in (tmp_path / "gpu.md").read_text()


def test_time_is_held(scripts, tmp_path):
    def swallows():
        try:
            time.sleep(60)
        except Exception:
            time.sleep(60)

    began = time.monotonic()
    assert report(scripts[0], tmp_path, minutes=0.5 / 60, one=swallows, two=dict).work()
    assert time.monotonic() - began < 50
    assert [piece["state"] for piece in pieces(tmp_path / "gpu.json").values()] == ["broken off", "not reached"]
    assert "- two: not reached\n" in (tmp_path / "gpu.md").read_text()


def test_a_piece_has_no_more_than_its_own(scripts, tmp_path):
    assert report(scripts[0], tmp_path, most=0.1, one=lambda: time.sleep(60), two=dict).work()
    assert [piece["state"] for piece in pieces(tmp_path / "gpu.json").values()] == ["broken off", "done"]


def test_what_is_known_is_on_disk_while_a_piece_is_under_way(scripts, tmp_path):
    seen = []
    report(scripts[0], tmp_path, one=dict, two=lambda: seen.append(pieces(tmp_path / "gpu.json")) or {}).work()
    assert [piece["state"] for piece in seen[0].values()] == ["done", "under way"]


def test_the_measurements_mix_no_devices(scripts, monkeypatch):
    measures = scripts[1]
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    for name, value in (("memory_allocated", 5), ("max_memory_allocated", 12)):
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    sizes = measures.Sizes("cuda", batch=4, steps=1, matrix=8, seconds=0.0)
    with pretended_gpu():
        rate = measures.matrix_rate("fp32", sizes)["flop_per_s"]
        found = measures.trainers("mlp", 2, "fp32", sizes, {"fp32": rate})
        plain = measures.inner_program("plain", "cnn", 2, "bf16", sizes)
    assert found["stacked_peak_bytes"] == plain["peak_bytes"] == 7
    assert found["stacked_share"] == pytest.approx(found["stacked_per_s"] * found["flop"] / rate)
    # Forward and the weights' gradients, 2 FLOP a weight and sample each; inputs need gradients in the second layer.
    assert found["flop"] == 2 * 4 * (2 * 784 * 128 + 3 * 128 * 10)
    assert measures.rate_for("mlp", "fp32", sizes) == "fp32"
    assert measures.rate_for("cnn", "fp32", sizes) == ("tf32" if torch.backends.cudnn.allow_tf32 else "fp32")


def test_the_inner_program_is_the_stacked_trainers_step(scripts, monkeypatch):
    measures = scripts[1]
    optimizer = measures.OptimizerSettings(lr=0.1, momentum=0.9, weight_decay=0.1)
    monkeypatch.setattr(measures, "OPTIMIZER", optimizer)
    sizes = measures.Sizes("cpu", batch=4, steps=2, matrix=8, seconds=0.0)
    program, module = measures.InnerProgram("mlp", 2, "fp64", sizes), measures.network("mlp", "fp64", sizes)
    for batch in stacked_batches(measures.nodes_of(module, "mlp", 2, sizes), sizes.steps):
        program.inputs.copy_(batch.inputs)
        program.targets.copy_(batch.targets)
        program.step()
    nodes = measures.nodes_of(module, "mlp", 2, sizes)
    measures.TRAINERS["stacked"](module).train(nodes)
    torch.testing.assert_close(program.parameters, torch.stack([node.parameters for node in nodes]))
    assert not torch.equal(nodes[0].parameters, nodes[1].parameters)


def test_without_a_gpu_it_says_so(scripts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path / "gpu.json"), "--device", "cuda"])
    with pytest.raises(SystemExit) as ended:
        scripts[0].main()
    assert ended.value.code == 2
    assert "--device cpu" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("models", "ways", "count"),
    [
        pytest.param(("mlp", "cnn"), ("plain", "graph"), 2 + 3 + 2 * 2 * 3, id="as it is"),
        pytest.param(
            *(("resnet20",), ("plain", "graph"), 2 + 3 + 2 * 3), marks=pytest.mark.exhaustive, id="the largest model"
        ),
        pytest.param(
            *(("mlp",), ("compiled", "compiled+graph"), 2 + 3 + 2 * 3),  # others take a CPU's compiler minutes
            marks=pytest.mark.exhaustive,
            id="compiled",
        ),
    ],
)
def test_all_of_it_at_tiny_size(models, ways, count, tmp_path):
    out = tmp_path / "new" / "gpu.json"
    done = benchmark(out, "--nodes", "2", "--models", *models, "--ways", *ways)
    found = pieces(out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(found) == count
    assert [name for name, piece in found.items() if piece["state"] not in STATES] == []
    skipped = {name for name, piece in found.items() if piece["state"] == "skipped"}
    assert skipped == {"tests", "matrix rate, tf32", *(name for name in found if "graph" in name)}
    page = out.with_suffix(".md").read_text()
    assert all(f"| {model} | 2 | bf16 |" in page for model in models)
    assert "CUDA graphs need a CUDA device" in page
    if "compiled" in ways:
        assert found["inner program, compiled: mlp, 2 nodes, fp32"]["found"]["difference"] < 1e-4


@pytest.mark.slow
def test_measurements_need_few_packages(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT.format(names=set(MISSING)))
    done = benchmark(
        *(tmp_path / "gpu.json", "--nodes", "2", "--models", "mlp", "--ways", "plain"),
        environment={"PYTHONPATH": str(tmp_path), "PATH": ""},
    )
    found = pieces(tmp_path / "gpu.json")
    assert [name for name, piece in found.items() if piece["state"] not in STATES] == ["tests"], done.stderr
