"""What nodes that lie do, as parts that an experiment names under ``adversaries``."""
