"""Rounds: who trains, sends and mixes when, by the wall or by a simulated clock."""
