"""The script for SLURM that the documentation shows, on two hosts with stubs in place of SLURM's commands; takes root.

Each host has its own view of processes: at its end `ray symmetric-run` ends every Ray that it sees.
"""

import os
import re
import tempfile
import time

import pytest
from reference.experiments import results
from reference.markdown import page
from reference.namespaces import until

from simulator import load_experiment, run

pytestmark = [pytest.mark.ray, pytest.mark.netns, pytest.mark.slow, pytest.mark.exhaustive]  # minutes

PAGE = page("docs/how-to/run-on-a-cluster.md")
SCRIPT = re.search(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", PAGE.text, re.DOTALL)
# Of one task, the answer is an address; of as many as there are hosts, each is started there and all are waited for.
SRUN = """#!/bin/bash
if [[ "$*" == *--nodelist=first* ]]; then echo 10.77.0.10; exit; fi
for host in {hosts}; do mkdir -p $host
  ip netns exec $host unshare --pid --fork --mount-proc -- env "HOME=$PWD/$host" "$@" > "$host.said" 2>&1 &
done
wait
"""
STUBS = {"scontrol": "#!/bin/bash\nprintf 'first\\nsecond\\n'\n", "srun": SRUN}
JOB = {"SLURM_JOB_NODELIST": "first,second", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "1"}
OVERRIDES = ["rounds=3", "evaluate.every=3", "methods=[]"]


def test_the_script_for_slurm_runs_over_two_machines_and_ends_what_it_has_started(hosts, tmp_path):
    """SLURM itself is not here: of its commands, the script gets what they would answer."""
    hub, *others = hosts
    assert SCRIPT
    names = [host.name for host in others[:2]]
    for name, text in STUBS.items():
        (hub.folder / name).write_text(text.replace("{hosts}", " ".join(names)))
        (hub.folder / name).chmod(0o755)
    (hub.folder / "run.sh").write_text(SCRIPT[1].replace("--out runs", f"{' '.join(OVERRIDES)} --out runs"))
    with tempfile.TemporaryDirectory(prefix="rm", dir="/tmp", ignore_cleanup_errors=True) as short:
        path = f"{hub.folder}{os.pathsep}{hub.environment['PATH']}"
        hub.environment |= JOB | {"PATH": path, "RAY_TMPDIR": short, "RAY_worker_niceness": "0"}
        hub.start("bash", "run.sh")
        said = {name: hub.folder / f"{name}.said" for name in names}
        until(lambda: hub.started[0].poll() is not None, time.monotonic() + 400)

    told = "".join(file.read_text() for file in said.values())
    (found,) = (hub.folder / "runs").glob("*/")
    assert results(found) == results(run(load_experiment("quickstart", OVERRIDES), tmp_path / "local").path), told
    assert "On worker node. Connecting to Ray cluster at 10.77.0.10:6379" in told
