"""Whole runs on tiny clips: neutral settings, backends, resuming, what is logged, and what is refused."""

import numpy as np
import pytest
from reference.experiments import At, results
from reference.multi_exit import CLIPS, PKD, clips

from simulator import resume, run
from simulator.core.errors import InputError
from simulator.core.method import METHODS

STREAMS = ("mv", "residual", "iframe")
NEUTRAL = {"name": "pkd", "first_round": None}


@pytest.mark.slow
def test_neutral_settings_are_bit_identical_to_no_method(tmp_path):
    used, unused = (run(clips(methods=m), tmp_path / str(len(m))) for m in ([NEUTRAL], []))
    assert results(used.path) == results(unused.path)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.ray
@pytest.mark.parametrize("method", [NEUTRAL, PKD], ids=["neutral", "active"])
def test_ray_gives_the_bits_of_local(method, tmp_path):
    local = run(clips(methods=[method]), tmp_path / "local")
    ray = run(clips(methods=[method], backend={"name": "ray", "workers": 2}), tmp_path / "ray")
    assert _tensors(results(local.path)) == _tensors(results(ray.path))


def _tensors(files):
    return {name: content for name, content in files.items() if not name.endswith(".jsonl")}


@pytest.mark.slow
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path):
    experiment = clips("checkpoint.every=1", methods=[PKD])
    straight = run(experiment, tmp_path / "straight")
    stopped = run(experiment, tmp_path / "stopped", [At(3, _interrupt)])
    assert stopped.status == "interrupted"
    assert results(resume(stopped.path).path) == results(straight.path)


def _interrupt():
    raise KeyboardInterrupt


@pytest.mark.slow
def test_exits_are_measured_at_the_end_and_reported(tmp_path):
    done = run(clips(methods=[PKD]), tmp_path)
    names = [f"pkd/accuracy/{modality}/{stage}" for modality in STREAMS for stage in (1, 2)]
    found = {name: done.directory.series(name)[1][-1] for name in [*names, "pkd/accuracy/internal"]}
    internal = np.mean([found[name] for name in names if name.endswith("/1")], axis=0)
    np.testing.assert_allclose(found["pkd/accuracy/internal"], internal)
    (section,) = METHODS.load("pkd").sections(METHODS.load("pkd").Config(**PKD), done.directory)
    assert f"{internal.mean():.1%}" in section.verdict
    assert [row[:2] for row in section.tables[0].rows] == [tuple(name.split("/")[2:]) for name in names]
    assert "mv, then residual, then iframe" in section.paragraphs[0]
    assert {name: len(values) for name, values in section.charts[0].series.items()} == dict.fromkeys(STREAMS, 2)


@pytest.mark.slow
def test_arms_share_the_rounds_before_distillation(tmp_path):
    ends = []
    for teachers in ([], ["iframe"]):
        method = {key: value for key, value in PKD.items() if teachers or key != "share"} | {"teachers": teachers}
        done = run(clips("checkpoint={every: 2, keep: all}", methods=[method]), tmp_path / str(len(teachers)))
        ends.append(
            [(done.path / "checkpoints" / f"round-00000{k}" / "node-0000.safetensors").read_bytes() for k in (2, 4)]
        )
    assert ends[0][0] == ends[1][0]
    assert ends[0][1] != ends[1][1]


def test_a_network_without_exits_is_refused():
    with pytest.raises(InputError, match=r"methods\[0\]: pkd needs exits, and there is none") as caught:
        clips(methods=[PKD], model="cnn")
    assert "multi_exit_video" in str(caught.value)


def test_a_teacher_whose_modality_is_missing_is_refused_before_any_work(tmp_path):
    data = CLIPS["data"] | {"dataset": CLIPS["data"]["dataset"] | {"views": {"modalities": ["mv"], "size": 8}}}
    with pytest.raises(InputError, match=r"pkd\.teachers: the samples have no modality 'residual'"):
        run(clips(data=data, methods=[PKD]), tmp_path)
    assert not list(tmp_path.iterdir())
