"""The audit of reconstruction: whose updates an observer can compute, and what of the data they hold can be rebuilt."""
