"""Progressive knowledge distillation: a network's final classifiers teach its internal ones, one after the other.

`schedule` says who teaches when, `method` what is trained on what, `teachers` and `exchange` how it goes where each
node holds one modality, `report` how it went and what messages reveal.
"""

from methods.pkd.method import PKD

__all__ = ["PKD"]
