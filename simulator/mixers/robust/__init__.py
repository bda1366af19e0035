"""Mixing that bounds what single neighbours can do to a model, for networks in which some nodes lie."""
