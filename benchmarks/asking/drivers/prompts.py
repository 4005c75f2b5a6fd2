"""The benchmark's prompts, of about a kilobyte each, and the options that every driver takes."""

import argparse

BODY = (
    "You are a molecular biologist. In K562 cells the gene GENE{0} was knocked down by CRISPRi. "
    "Explain step by step whether TARGET{0} is upregulated, downregulated or unchanged. "
) + "Consider pathway membership, positioning, direct regulation and cell context. " * 9


def prompts(n):
    """Return N prompts, each with its number."""
    return [f"#{i}# " + BODY.format(i) for i in range(n)]


def options():
    """Return the options of a driver."""
    parser = argparse.ArgumentParser()
    for name, kind in (("n", int), ("concurrency", int), ("url", str), ("work", str)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    return parser.parse_args()
