"""LimaCharlie's API: tokens, limits, faults, typed answers."""
