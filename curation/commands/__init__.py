"""The commands of this room: each parses, calls one function, prints. The result goes to stdout, all else to stderr."""
