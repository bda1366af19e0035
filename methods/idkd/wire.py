"""How labels travel: the parts that an exchange adds to a message, and what they cost.

For M labelled samples of C classes, one node's table is:

==============  =================================================  =======================
idkd.positions  int32 [M], places in the public set                4 M bytes
idkd.labels     [M, C] probabilities, or [M, k] under ``top_k``    b M C, or b M k
idkd.classes    [M, k], whose they are; under ``top_k`` only       M k (4 M k if C > 256)
idkd.histogram  int32 [1, C]; under ``merge: official`` only       4 C
==============  =================================================  =======================

with b = 4, or 2 for float16. A message that holds anything but its sender's own table says whose rows they are, in
order: ``idkd.origins`` and ``idkd.sizes``, int32 [tables] each. Tables are forwarded as they came, so the code loses
nothing more on the way.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from methods.idkd.settings import IDKDSettings
from simulator.core.declaration import LARGEST, Declared
from simulator.core.soft_labels import SoftLabels

POSITIONS, LABELS, CLASSES, HISTOGRAM = "idkd.positions", "idkd.labels", "idkd.classes", "idkd.histogram"
TABLE = (POSITIONS, LABELS, CLASSES, HISTOGRAM)
ORIGINS, SIZES = "idkd.origins", "idkd.sizes"

Table = Mapping[str, Tensor]
TOLERANCE = 1e-2  # for a sum of probabilities in half precision


def encode(labels: SoftLabels, settings: IDKDSettings) -> Table:
    """One node's table, as it travels."""
    table, values = {POSITIONS: labels.positions.to(torch.int32)}, labels.labels
    if settings.top_k is not None:
        few_classes = values.shape[1] <= 256
        values, classes = values.topk(settings.top_k, dim=1)
        table[CLASSES] = classes.to(torch.uint8 if few_classes else torch.int32)
    table[LABELS] = values.to(torch.float16 if settings.label_dtype == "float16" else torch.float32)
    if labels.histogram is not None:
        table[HISTOGRAM] = labels.histogram.to(torch.int32)[None]
    return table


def decode(table: Table, classes: int) -> SoftLabels:
    """The labels that a table stands for; where the code is lossy, they are made to sum to 1 again."""
    values = table[LABELS]
    lossy = CLASSES in table or values.dtype == torch.float16
    if CLASSES in table:
        values = values.new_zeros(len(values), classes).scatter_(1, table[CLASSES].long(), values)
    if lossy:
        values = values.double() / values.double().sum(dim=1, keepdim=True)
    histogram = table[HISTOGRAM][0].long() if HISTOGRAM in table else None
    return SoftLabels(table[POSITIONS].long(), values, histogram)


def declared(settings: IDKDSettings, public: int, classes: int, tables: int) -> Mapping[str, Declared]:
    """The parts that hold up to ``tables`` tables for ``public`` samples; those of one may be its sender's own."""
    rows, k = range(1, public * tables + 1), settings.top_k or classes
    dtype = torch.float16 if settings.label_dtype == "float16" else torch.float32
    parts = {
        POSITIONS: Declared(torch.int32, (rows,), 0, public - 1, optional=True),
        LABELS: Declared(dtype, (rows, k), 0, 1, optional=True),
    }
    if settings.top_k is not None:
        parts[CLASSES] = Declared(
            torch.uint8 if classes <= 256 else torch.int32, (rows, k), 0, classes - 1, optional=True
        )
    if settings.merge == "official":
        parts[HISTOGRAM] = Declared(torch.int32, (range(1, tables + 1), classes), 0, LARGEST, optional=True)
    if tables > 1:
        parts[ORIGINS] = Declared(torch.int32, (range(1, tables + 1),), 0, tables - 1, optional=True)
        parts[SIZES] = Declared(torch.int32, (range(1, tables + 1),), 1, public, optional=True)
    return parts


def objection(parts: Mapping[str, Tensor], settings: IDKDSettings) -> str | None:
    """What is wrong with tables whose parts are as `declared`; the end of a sentence, None if nothing is."""
    own, whose = [name for name in TABLE if name in parts], [name for name in (ORIGINS, SIZES) if name in parts]
    if not own and not whose:
        return None
    if len(own) < 2 + (settings.top_k is not None) + (settings.merge == "official") or len(whose) == 1:
        return "holds labels without some of their parts"
    sizes = parts[SIZES].tolist() if whose else [len(parts[POSITIONS])]
    if {len(parts[name]) for name in own if name != HISTOGRAM} != {sum(sizes)}:
        return "holds labels, places and sizes of different numbers"
    if len({len(sizes), *(len(parts[name]) for name in (ORIGINS, HISTOGRAM) if name in parts)}) > 1:
        return "says of more or fewer tables whose they are than it holds"
    ascending = [*torch.split(parts[POSITIONS], sizes), *(parts[name] for name in whose if name == ORIGINS)]
    if CLASSES in parts:
        ascending.append(parts[CLASSES].sort(dim=1).values.int())
    if not all(bool((each.diff() > 0).all()) for each in ascending):
        return "names places, nodes or classes twice or out of order"
    total = parts[LABELS].double().sum(dim=1)
    least = parts[LABELS].shape[1] / 2**16 if CLASSES in parts else 1.0  # of the largest k of all classes
    if not bool(((total > least - TOLERANCE) & (total < 1 + TOLERANCE) & (total > 0)).all()):
        return "holds labels that do not sum to 1"
    return None


def join(tables: Mapping[int, Table], sender: int) -> dict[str, Tensor]:
    """The parts of a message from ``sender`` that hold ``tables``, by the node that made them, in order of its id."""
    if not tables:
        return {}
    origins = sorted(tables)
    names = [name for name in TABLE if name in tables[origins[0]]]
    parts = {name: torch.cat([tables[origin][name] for origin in origins]) for name in names}
    if origins == [sender]:
        return parts
    sizes = [len(tables[origin][POSITIONS]) for origin in origins]
    return parts | {ORIGINS: torch.tensor(origins, dtype=torch.int32), SIZES: torch.tensor(sizes, dtype=torch.int32)}


def split(parts: Mapping[str, Tensor], sender: int) -> dict[int, Table]:
    """The tables that `join` was given, on the CPU."""
    own = {name: parts[name].cpu() for name in TABLE if name in parts}
    if ORIGINS not in parts:
        return {sender: own} if own else {}
    sizes = parts[SIZES].tolist()
    pieces = {name: torch.split(part, 1 if name == HISTOGRAM else sizes) for name, part in own.items()}
    return {
        origin: {name: pieces[name][number] for name in own} for number, origin in enumerate(parts[ORIGINS].tolist())
    }
