"""What is measured, each a command anyone can run: python -m benchmarks."""
