"""TREND: networks with input quantizers of different kinds (Ravikumar et al. 2020, arXiv:2008.01524).

`quantizers` are what nodes do to their images, `method` says which node has which and whose parameters mix.
"""

from methods.trend.method import Trend

__all__ = ["Trend"]
