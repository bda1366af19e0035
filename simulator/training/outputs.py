"""Whether what a network puts out is what the task asks for: found out by trying, before a run begins."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from simulator.core.arrays import Arrays, called, count, leaves
from simulator.core.blame import blame
from simulator.core.errors import InputError, wrong
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData
from simulator.core.task import Task
from simulator.training.unregistered import unregistered

SAMPLES, MANY = 2, 256  # to try with; at most, where a few have left parameters aside
PROBABILITIES = {"SigmoidBackward0": "sigmoid", "SoftmaxBackward0": "softmax"}
NO_LOGITS = "the loss takes them for logits, not for probabilities"
SAME_VALUES = {
    f"{name}Backward0"
    for name in ("Alias", "Clone", "Expand", "Permute", "Select", "Slice", "Squeeze", "T", "ToCopy", "Transpose")
} | {"SqueezeBackward1", "UnsafeViewBackward0", "UnsqueezeBackward0", "ViewBackward0", "ReshapeAliasBackward0"}
ASKED = "a parameter of the network called outputs, classes or num_classes is given that number"
TOLD = "Parameters of its constructor called shape, features, length or vocabulary are given what the samples have."


def check_outputs(module: FlatModule, data: NodeData, batch_size: int) -> tuple[str, ...]:
    """Refuse a network whose outputs the task cannot judge; on a few training samples, in evaluation mode.

    Args:
        module: its network.
        data: of a node.
        batch_size: of training; such a batch is tried before parameters are said to have no part in the outputs.

    Returns:
        What the user should know of the network, which hides in scores.

    Raises:
        InputError: the network cannot take the samples, or its outputs are no tensor or of another shape than the
            task's, or depend on no parameter, or give no number as a loss, or those of tokens depend on later ones.
    """
    rows, task = torch.arange(SAMPLES) % len(data.train), data.task
    inputs = data.preparation(data.train.inputs_at(rows), module.dtype)
    with torch.random.fork_rng(devices=[]):
        outputs, again = _outputs(module, inputs), _outputs(module, inputs)
    width = data.outputs.width
    if not isinstance(outputs, Tensor):
        what = f"the network returns {type(outputs).__name__}, and no tensor."
        raise wrong("model", what, "Let its forward return the outputs alone.")
    if not outputs.requires_grad:
        what = "the network's outputs depend on no parameter that is trained."
        raise wrong("model", what, "Let forward compute them from parameters, without detach, torch.no_grad or NumPy.")
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
    if losses.isnan().any():
        what = f"the network's outputs of {SAMPLES} samples give no number (NaN) as a loss, before it is trained."
        raise wrong("model", what, "Look for a logarithm, a root or a division in its forward.")
    assert isinstance(again, Tensor)  # as before
    if task.by_token and _are_alike(outputs, again):
        _check_looks_back(module, data, inputs, outputs)
    return (
        *_idle(module, data, batch_size),
        *unregistered(module.module, outputs),
        *(_odd(outputs, again) or _beside(module, data, outputs)),
        *_probabilities(outputs, task),
    )


def _check_looks_back(module: FlatModule, data: NodeData, inputs: Arrays, outputs: Tensor) -> None:
    """Refuse outputs of tokens that depend on what comes after them: on the last token, which is changed.

    Raises:
        InputError: they do.
    """
    assert not isinstance(inputs, Tensor)  # samples of tokens have names
    ids, rows = inputs["ids"].clone(), torch.arange(SAMPLES)
    last = inputs["mask"].sum(dim=1) - 1  # padding is at the end
    ids[rows, last] = (ids[rows, last] + 1) % data.inputs.vocabulary
    with torch.random.fork_rng(devices=[]):
        changed = _outputs(module, {**inputs, "ids": ids})
    assert isinstance(changed, Tensor)  # as before
    earlier = torch.arange(ids.shape[1], device=ids.device) < last[:, None]
    if not _are_alike(outputs[earlier], changed[earlier]):
        what = "outputs of a token depend on tokens after it, which it is to predict: scores would be of nothing."
        raise wrong("model", what, "Let each token look back alone: give attention a causal mask, read from the left.")


def _idle(module: FlatModule, data: NodeData, batch_size: int) -> Iterator[str]:
    """Some layers are for larger batches, for training or for certain samples alone: a whole batch is tried as well."""
    trained = {name: each for name, each in module.module.named_parameters() if each.requires_grad}
    idle, samples = list(trained), SAMPLES
    whole = min(batch_size, MANY)
    for samples, training in (SAMPLES, False), (whole, False), (whole, True):
        if idle:
            rows = torch.arange(samples) % len(data.train)
            with torch.random.fork_rng(devices=[]):
                outputs = _outputs(module, data.preparation(data.train.inputs_at(rows), module.dtype), training)
            assert isinstance(outputs, Tensor)  # as before
            of = [trained[name] for name in idle]
            gradients = torch.autograd.grad(outputs.float().sum(), of, allow_unused=True)
            idle = [name for name, gradient in zip(idle, gradients, strict=True) if gradient is None]
    if idle:
        shown = ", ".join([*idle[:5], *["..."] * (len(idle) > 5)])
        numbers = sum(trained[name].numel() for name in idle)
        what = f"{numbers:,} parameters have no part in the outputs of {samples} samples"
        yield f"{what}, and are sent and counted all the same: {shown}"


def _are_alike(outputs: Tensor, again: Tensor) -> bool:
    return torch.allclose(outputs, again, rtol=0.01, atol=1e-4, equal_nan=True)  # a GPU may round otherwise each time


def _odd(outputs: Tensor, again: Tensor) -> tuple[str, ...]:
    if _are_alike(outputs, again):
        return ()
    what = "the same samples have other outputs each time, in evaluation, too, and so have scores"
    return (f"{what}: let dropout and noise depend on self.training",)


def _beside(module: FlatModule, data: NodeData, outputs: Tensor) -> Iterator[str]:
    """The first sample, whose ``outputs`` beside the second one are known, is put beside itself."""
    twice = data.preparation(data.train.inputs_at(torch.zeros(SAMPLES, dtype=torch.int64)), module.dtype)
    with torch.random.fork_rng(devices=[]):
        alone = _outputs(module, twice)
    assert isinstance(alone, Tensor)  # as before
    if not _are_alike(outputs[0], alone[0]):
        what = "the outputs of a sample depend on those beside it in a batch, in evaluation, too, and so do scores"
        yield f"{what}: reckon over the last dimension (dim=-1), not over samples, and normalise without the batch"


def _probabilities(outputs: Tensor, task: Task) -> Iterator[str]:
    """Told by the last operation, or by values, if a network divides by their sum itself."""
    if not (task.has_classes or task.takes_logits):
        return
    shares, made = outputs.detach().float(), PROBABILITIES.get(_last_operation(outputs))
    if made:
        yield f"outputs are those of a {made}, and {NO_LOGITS}: leave the last {made} out"
    elif shares.shape[-1] > 1 and (shares >= 0).all() and ((shares.sum(dim=-1) - 1).abs() < 1e-3).all():
        yield f"outputs are at least 0 and add up to 1, and {NO_LOGITS}: leave the last softmax out"


def _last_operation(outputs: Tensor) -> str:
    """What autograd calls it; views, and copies in another precision or order, are none."""
    function = outputs.grad_fn
    while function is not None and function.name() in SAME_VALUES:
        function = function.next_functions[0][0]
    return function.name() if function is not None else ""


def _outputs(module: FlatModule, inputs: Arrays, training: bool = False) -> object:
    """What the network returns.

    Raises:
        InputError: it raises something instead.
    """
    module.bind(module.initial, module.initial_buffers)
    module.train() if training else module.module.eval()
    try:
        with torch.enable_grad(), module.autocast():
            return called(module.module, inputs)
    except Exception as error:
        given = leaves(inputs)
        shown = ", ".join(f"{str(array.dtype).removeprefix('torch.')} {list(array.shape)}" for array in given)
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:200].rstrip('.')}"
        blamed, advice = blame(error), "Try it on a batch of the data, or choose another model."
        if not all(array.is_floating_point() for array in given):
            advice = (
                "Whole numbers are given as such, for embeddings: store float32 for a network that computes with them."
            )
        elif "dtype" in told:
            advice = "Network and samples come in training.precision: leave .double(), .half() and dtypes out."
        elif blamed:
            advice = f"{TOLD} {advice}"
        what = f"the network cannot take {count(inputs)} samples ({shown}): {told}."
        if blamed:  # a stranger's network, of which its own lines tell more
            what = f"the network is given {count(inputs)} samples ({shown}), and cannot take them: {blamed}"
        raise wrong("model", what, advice) from error
    finally:
        module.train()


def _misshapen(task: str, shown: str, why: str) -> InputError:
    what = f"the network puts out {shown} for {SAMPLES} samples, which the task {task} cannot judge: {why}."
    return wrong("model", what, "Let it return [samples, outputs], or of tokens [samples, length, outputs].")
