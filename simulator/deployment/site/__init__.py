"""A site's own side of a deployment: its data, its policy, the one gate that all passes, the ledger of what has."""
