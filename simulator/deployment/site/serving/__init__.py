"""A site's own process, which holds policy, ledger, keys and connections, and Flower's ClientApp as its client."""
