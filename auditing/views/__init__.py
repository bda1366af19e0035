"""Views: what attackers at each position in the graph hold, and what they make of it."""
