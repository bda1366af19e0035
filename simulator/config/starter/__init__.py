"""A first experiment for somebody's own data: what the data are is looked up, and the rest is written with comments."""

from simulator.config.starter.draft import Wishes, draft
from simulator.config.starter.own_data import KINDS, OwnData, kind_of, look

__all__ = ["KINDS", "OwnData", "Wishes", "draft", "kind_of", "look"]
