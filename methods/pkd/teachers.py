"""Who can teach a node: the modalities that it holds, or those that nodes of one modality hold."""

from __future__ import annotations

from collections.abc import Sequence

from methods.pkd.schedule import OWN, PKDSettings
from simulator.core.errors import wrong
from simulator.core.samples import NodeData


def held(data: NodeData) -> Sequence[str]:
    """The modalities of a node's samples."""
    return [*dict.fromkeys(channel.group for channel in data.channels)]


def at_other_nodes(settings: PKDSettings, data: NodeData) -> bool:
    """Whether teachers are at other nodes, since each holds one modality."""
    return bool(settings.first_round is not None and settings.teachers and data.modalities)


def require(settings: PKDSettings, data: NodeData) -> None:
    """Teachers must be there, and able to teach.

    Raises:
        InputError: no node holds a teacher's modality; or each holds one, and there are no public samples, or no round
            before distillation to send labels in.
    """
    known = [*dict.fromkeys(data.modalities or held(data)), OWN]
    for name in settings.teachers if settings.first_round is not None else ():
        if name not in known:
            what = f"{'no node holds' if data.modalities else 'the samples have no'} modality '{name}'."
            raise wrong("pkd.teachers", what, f"Choose among {', '.join(known)}, or add it to the data.")
    if at_other_nodes(settings, data) and data.public is None:
        what = "nodes hold one modality each, and there are no public samples for teachers to label."
        raise wrong("data.public", what, "Add some, for example a fifth of the private data set's own.")
    if at_other_nodes(settings, data) and settings.first_round == 1:
        what = "nodes hold one modality each, and teachers send their labels in the round before."
        raise wrong("pkd.first_round", what, "Let distillation begin in round 2 or later.")
