"""What the operator sees. Screens read the store and post requests; they do nothing themselves."""
