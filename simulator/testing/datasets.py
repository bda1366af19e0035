"""The laws of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator.core.registry import PartSettings
from simulator.core.seeding import global_states
from simulator.data.dataset import DATASETS, ArrayData
from simulator.data.stored import same
from simulator.testing import laws
from simulator.testing.given import class_and_settings

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def check_dataset(dataset: Any, config: PartSettings | None = None, *, root: str | Path = "data") -> None:
    """All laws of a data set.

    Args:
        dataset: its class, a name as in an experiment file, settings with a name, or an object: ``Mine(size=8)``.
        config: the settings, where the class or a name is given; its defaults unless given.
        root: the folder that data sets lie in.

    Raises:
        AssertionError: a law is broken; the text says which.
        InputError: there is no such data set, it is not in ``root``, or its arrays do not fit together.
    """
    part, config = class_and_settings(DATASETS, dataset, config)
    laws.keeps_only_its_config(part, config)
    laws.settings_can_be_written_out(config)
    before = global_states()
    first, second = (part(config).load(Path(root)) for _ in range(2))
    assert global_states() == before, "a global random generator was drawn from; seed one of your own"
    assert isinstance(first, ArrayData), f"load gives {type(first).__name__}, and not ArrayData"
    first.validate()
    for name in ARRAYS:
        one, other = getattr(first, name), getattr(second, name)
        assert (one is None) == (other is None), f"{name} is there in one of two loads only"
        assert one is None or same(one, other), f"two loads give different {name}"
    assert first.class_names == second.class_names, "two loads give different class_names"
