"""What lies where in a folder of runs; light to import, for those who look at many runs and read little of each."""

from __future__ import annotations

from pathlib import Path

EXPERIMENT = "experiment.yaml"  # a folder that has one is a run
MESSAGES = "messages.arrow"  # who sent how many bytes of what to whom: `simulator.results.message_log`
AUDIT_METRICS = "metrics.json"  # in the folder of an audit: what runs can be compared by
AUDIT_RESULT = "result.json"  # there, too: written last, so without it an audit has not ended


def runs_in(folder: Path) -> list[Path]:
    """The run directories in ``folder``, sorted; drafts are none."""
    files = sorted(folder.glob(f"*/{EXPERIMENT}"))
    return [file.parent for file in files if not file.parent.name.startswith(".")]
