"""What `benchmarks.engine` needs: a stub of a model, and a driver for each tool that is compared."""
