"""Libraries that pages bring along, as their registry gave them; see ``renew.py``."""
