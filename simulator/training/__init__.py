"""The local steps of a round, and evaluation."""
