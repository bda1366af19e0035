"""The audit of what a run's noise promises each node against each other node of the network."""
