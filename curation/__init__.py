"""The store, and everything that makes, grades, selects and versions reasoning traces."""
