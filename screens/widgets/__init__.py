"""Widgets that know neither store nor requests."""
