"""Text: how documents are found, made into tokens, and cut into windows."""
