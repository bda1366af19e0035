"""Class shares: which classes a node holds, and in what shares, as far as its messages tell.

`attackers` estimate the shares, each from another part of what a node sends; `audit` compares them with the truth.
"""

from auditing.class_shares.audit import ClassSharesAudit

__all__ = ["ClassSharesAudit"]
