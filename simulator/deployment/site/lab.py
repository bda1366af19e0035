"""The policy of a laboratory: one machine, one owner of all data, who says in so many words that everything may leave.

`rumormill deploy local` writes it for the nodes that it starts, so that they pass the same gate as those of real sites.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from simulator.deployment.site.approval import experiment_hash

FILE, LEDGER = "site.yaml", "ledger.jsonl"


def lab_policy(site: str, experiment: str, rounds: int, ledger: Path) -> str:
    """A policy that allows all that the experiment with this hash can ask for, as YAML."""
    policy = {
        "version": 1,
        "site": site,
        "ledger": str(ledger),
        "experiments": [{"hash": experiment, "approved_by": "lab", "until": "9999-12-31", "rounds": rounds}],
        "versions": "any",
        "messages": {"parts": "any", "max_bytes": "unlimited", "max_norm": "unlimited"},
        "privacy": {"mechanism": "none", "unit": "sample", "max_epsilon": "unlimited", "delta": "unlimited"},
        "metrics": {"leave": "any", "min_count": 1, "round_to": "unlimited"},
        "sharing": {"models": True, "recordings": True, "labels": True, "artifacts": "any"},
        "peers": {"allow": "any", "pinned": "any"},
        "limits": {"rounds_per_day": "unlimited", "hours": "always"},
    }
    return yaml.safe_dump(policy, sort_keys=False)


def write_lab_policy(folder: Path, site: str, node: Path, rounds: int) -> Path:
    """Write the policy of a lab into the new ``folder``, for the experiment in the folder of a ``node``."""
    folder.mkdir(mode=0o700, parents=True)
    path = folder / FILE
    path.touch(0o600)
    path.write_text(lab_policy(site, experiment_hash(node), rounds, folder.absolute() / LEDGER), encoding="utf-8")
    return path
