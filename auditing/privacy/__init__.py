"""Differential privacy: training with it, what it promises against whom, and what an attack measures of it."""
