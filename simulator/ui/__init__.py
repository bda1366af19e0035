"""A local page over a folder of runs, ``rumormill ui``: listed, compared, audited, cleaned up, on this machine alone.

Pages are written here and need no script to be read; `guard` lets in whoever has the token, and `application` says what
is where.
"""
