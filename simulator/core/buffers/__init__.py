"""What a network keeps beside its parameters: which buffers are state, and what becomes of them at the nodes."""
