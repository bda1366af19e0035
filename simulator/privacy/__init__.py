"""Accounts of differential privacy: what Gaussian noise costs and buys, for methods and audits alike."""
