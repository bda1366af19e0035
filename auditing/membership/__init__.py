"""Membership: who can tell that a sample was in a node's training set."""
