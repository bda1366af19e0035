"""In-distribution knowledge distillation (Ravikumar et al. 2024, arXiv:2304.04326).

`settings` and `schedule` say what happens when, `detectors` score the public samples, `thresholds` decide which of them
a node labels, `wire` and `flood` are how labels travel, `merge` is what becomes of them, `measures` and `report` tell
how it went.
"""

from methods.idkd.method import IDKD

__all__ = ["IDKD"]
