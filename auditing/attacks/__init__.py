"""Attacks: signals of a sample in a model, and what tells members from non-members by them."""
