"""Questions that the code asks of the store, with $parameters."""
