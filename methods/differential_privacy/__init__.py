"""Training with differential privacy: DP-SGD, node-level DP and correlated noise, and a node's budget."""
