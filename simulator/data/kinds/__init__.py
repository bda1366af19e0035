"""What kinds of samples there are: how each is checked, and made into what networks are given."""
