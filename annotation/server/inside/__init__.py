"""What runs in the server's own environment, where the rest of this package is not: nothing outside imports it."""
