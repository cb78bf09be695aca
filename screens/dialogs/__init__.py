"""Dialogs: given all they need, dismissed with an answer."""
