"""Networks that can be mixed: all their state is in their parameters."""
