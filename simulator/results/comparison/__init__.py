"""Comparison of runs: one row and one curve for all runs that differ only in their seed."""

from simulator.results.comparison.groups import find_runs
from simulator.results.comparison.latex import as_latex
from simulator.results.comparison.page import write_html
from simulator.results.comparison.table import Comparison, compare
from simulator.results.comparison.text import as_markdown, show

__all__ = ["Comparison", "as_latex", "as_markdown", "compare", "find_runs", "show", "write_html"]
