from collections.abc import Callable

import pytest
from reference.sketches import Sketch, write_sketch

from simulator.results.run_directory import RunDirectory


@pytest.fixture(scope="session")
def write_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunDirectory]:
    def write(**settings: object) -> RunDirectory:
        return write_sketch(tmp_path_factory.mktemp("results") / "run", Sketch(**settings))  # type: ignore[arg-type]

    return write
