"""Memorization: which training samples a node's model knows by heart, and whether those are the mislabelled ones."""

from auditing.memorization.audit import MemorizationAudit

__all__ = ["MemorizationAudit"]
