"""The commands of evaluation: each parses, calls one function, prints."""
