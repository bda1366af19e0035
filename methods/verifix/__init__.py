"""Verifix, later called SAP: correction of label noise after training (Kodge et al. 2024, arXiv:2403.08618).

`activations` sums up what verified samples put into each layer, `projection` makes of that what the layer's weights are
multiplied with, `method` says when and on what this is done, `report` tells how it went.
"""

from methods.verifix.method import Verifix

__all__ = ["Verifix"]
