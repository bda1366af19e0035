"""Differential privacy: what is promised, who it is promised against, and what an attack measures of it."""
