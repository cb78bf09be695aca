"""From what organizations are to have to what is done about it."""
