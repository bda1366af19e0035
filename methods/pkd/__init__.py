"""Progressive knowledge distillation: a network's final classifiers teach its internal ones, one after the other."""

from methods.pkd.method import PKD

__all__ = ["PKD"]
