"""Membership in models that were trained elsewhere: what it takes is they, their data, and who trained on what."""

from auditing.trained_elsewhere.audit import audit_models
from auditing.trained_elsewhere.findings import ModelsAudit

__all__ = ["ModelsAudit", "audit_models"]
