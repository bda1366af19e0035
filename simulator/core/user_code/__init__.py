"""Code of a user's own: files that are carried along with an experiment, and the names by which it is asked for."""
