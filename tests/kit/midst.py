"""A run in its midst: the command in a process of its own, as a user stops or kills it."""

import os
import subprocess
import time

from conftest import COMMAND


def generating(server, what, at):
    """Start a generate of 60, four in flight, and return it once the server counts so many of `what`."""
    os.environ["OPENAI_BASE_URL"] = server.base_url
    command = [*COMMAND, "generate", "--limit", "60", "--concurrency", "4", "--model", "m"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while server.stats()[what] < at:
        time.sleep(0.01)
    return process
