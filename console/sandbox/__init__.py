"""A stand-in for LimaCharlie's cloud: the same HTTP API over a real socket."""
