"""The model: what the console remembers, and the vocabulary that every room shares.

Importing this package is cheap. SQLModel costs 380 ms, so nothing here imports it: take
`store.database`, `store.models` and `store.queries` by name, after the first paint.
"""
