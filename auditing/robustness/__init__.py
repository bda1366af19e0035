"""Robustness: what adversarial examples do to ensembles of nodes, by who makes them.

`ensemble` is what is attacked; `ascent`, `attacks`, `apgd` and `square` attack it; `transfer` measures which attacks
carry over from node to node, `neighbourhood` and `selection` make ensembles of that; `threats` are the attackers, and
`comparison` lets them loose on the ensembles.
"""

from auditing.robustness.audit import RobustnessAudit

__all__ = ["RobustnessAudit"]
