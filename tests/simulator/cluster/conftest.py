"""A cluster of three machines in name: each is a part of Ray with processes and a store of its own, on this one."""

import os
from pathlib import Path

import pytest
from reference.namespaces import hosts  # noqa: F401  # a fixture

TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="package")
def cluster():
    """The head, and two machines with a processor and two GPUs each, which nobody has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        import ray  # only now: what it reads from the environment then is set before
        from ray.cluster_utils import Cluster

        ray.shutdown()  # tests of other folders share one until the session ends
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            for _ in range(2):
                made.add_node(num_cpus=1, num_gpus=2)
            yield made
        finally:
            made.shutdown()
