"""WISE (Soufleri, Ravikumar and Roy 2024, arXiv:2407.02713): exits weighted together, and what leaving early saves.

Of a finished run: `ledger` counts what each exit costs, `weights` fits them on validation samples, `cascade` leaves at
the first sure exit, `flatness` measures the minima, `findings` brings it together for each node.
"""
