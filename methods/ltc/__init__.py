"""LTC and CLD: coresets from loss trajectories (Nagaraj et al. 2025, arXiv:2503.09721 and arXiv:2508.20230).

`correlation` compares the course of a sample's loss with that of its class, `class_means` says what the latter is,
`method` when losses are looked at and what becomes of the scores, `report` what came of it. How samples are chosen by
scores is in `simulator.data.coreset`, which a later run on the coreset shares.
"""

from methods.ltc.method import LTC

__all__ = ["LTC"]
