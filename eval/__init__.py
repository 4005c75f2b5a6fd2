"""Evaluation: predictions, their scores with intervals and baselines, and what leaks."""
