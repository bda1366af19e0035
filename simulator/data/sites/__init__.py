"""Data that stay where they are: what all sites have declared, and what each opens for itself alone."""
