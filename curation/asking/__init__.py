"""Asking a model: what a request is, how it is sent, and how its answer is kept."""
