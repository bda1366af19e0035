"""Whether what a network puts out is what the task asks for: found out by trying, before a run begins."""

from __future__ import annotations

import torch
from torch import Tensor

from simulator.core.arrays import called
from simulator.core.errors import InputError, wrong
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData

SAMPLES = 2  # to try with
ASKED = "a parameter of the network called outputs, classes or num_classes is given that number"


def check_outputs(module: FlatModule, data: NodeData) -> None:
    """Refuse a network whose outputs the task cannot judge; on a few training samples, in evaluation mode.

    Raises:
        InputError: the outputs are no tensor, or of another shape than the task's.
    """
    rows, task = torch.arange(SAMPLES) % len(data.train), data.task
    module.bind(module.initial, module.initial_buffers)
    module.module.eval()
    with torch.no_grad(), module.autocast():
        outputs: object = called(module.module, data.preparation(data.train.inputs_at(rows), module.dtype))
    module.module.train()
    width = data.outputs.width
    if not isinstance(outputs, Tensor):
        what = f"the network returns {type(outputs).__name__}, and no tensor."
        raise wrong("model", what, "Let its forward return the outputs alone.")
    shown = f"[{', '.join(map(str, outputs.shape))}]"
    if outputs.dim() < 2 or len(outputs) != SAMPLES or outputs.shape[-1] != width:
        asked = f"the task {task.config.name} asks for {width} each"
        what = f"the network puts out {shown} for {SAMPLES} samples, and {asked}."
        raise wrong("model", what, f"Let the last dimension be {width}: {ASKED}.")
    try:
        losses = task.losses(outputs.to(module.dtype), data.train.targets_at(rows).to(module.device))
    except (RuntimeError, ValueError, IndexError) as error:
        raise _misshapen(task.config.name, shown, str(error).splitlines()[0]) from error
    if losses.shape != (SAMPLES,):
        raise _misshapen(task.config.name, shown, f"its losses are {tuple(losses.shape)}")


def _misshapen(task: str, shown: str, why: str) -> InputError:
    what = f"the network puts out {shown} for {SAMPLES} samples, which the task {task} cannot judge: {why}."
    return wrong("model", what, "Let it return [samples, outputs], or of tokens [samples, length, outputs].")
