"""How parameters travel and combine."""
