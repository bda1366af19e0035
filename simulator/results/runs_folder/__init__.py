"""A folder of runs: what there is, how far each run is and what it takes, and what may go.

Runs come and go while somebody looks, and some are damaged: whatever is wrong with one is told beside it.
"""
