"""Data sets, how they are divided among the nodes, and how batches are augmented."""
