"""Experts in the loop: the clauses of a text, and what experts find of them."""
