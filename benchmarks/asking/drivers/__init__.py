"""One driver a tool: asks N prompts at --url with --concurrency in flight, keeps its work in --work.

Each runs with its own tool's Python, so it imports nothing of this project but the module of the prompts.
"""
