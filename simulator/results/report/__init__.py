"""The report of a run: one self-contained HTML file, and its figures as SVG files."""

from simulator.results.report.page import write_report

__all__ = ["write_report"]
