"""How a store of one schema becomes one of the next; imported only by `store upgrade`."""
