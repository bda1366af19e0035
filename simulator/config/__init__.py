"""Experiments: what a user writes, read, checked, and held against itself before anything runs."""
