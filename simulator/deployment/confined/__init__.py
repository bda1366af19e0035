"""A node's program in a process that has the data and the experiment's code, and neither keys, policy nor network."""
