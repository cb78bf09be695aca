"""Templates: LimaCharlie's infrastructure documents, resolved, checked and laid over each other.

`documents` reads one with everything that it includes, and `lint` says what is wrong with what it holds.
"""
