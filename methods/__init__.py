"""What nodes do beyond plain SGD: one paper, one file."""
