"""What a run may spend: reserved before a request is sent, settled by what it cost."""

from __future__ import annotations

import math

import orjson

from curation.asking.replies import Reply
from curation.asking.requests import Endpoint, Request
from curation.errors import BadInput
from curation.schema import REHEARSAL

LIMITS = ("max_completion_tokens", "max_tokens")  # parameters by which an answer is bounded
FRAME = 16  # tokens that a provider may add around one message


class Budget:
    """Dollars and requests of one run, over all models that it asks.

    What a request may cost at most is reserved: every byte of its messages and parameters a token (none is shorter),
    and as many tokens of answer as its parameters allow, or else the most that the model can write. So the sum of what
    was spent and of what is in flight never exceeds the budget, whatever comes back. What nobody can know the cost of
    (a cut connection, a time-out) counts as the most that it may have cost.

    Raises:
        BadInput: dollars that are no sum.
    """

    def __init__(self, usd: float | None = None, requests: int | None = None) -> None:
        if usd is not None and not 0 <= usd < math.inf:
            raise BadInput(f"--budget-usd {usd:g}: no sum of money; give dollars, 0 or more")
        self.usd, self.requests = usd, requests
        self.spent = self.reserved = 0.0  # dollars
        self.sent = self.in_flight = 0

    def check(self, endpoint: Endpoint) -> None:
        """Refuse a budget that could not be kept.

        Raises:
            BadInput: the model's price is unknown, or how long its answers may be.
        """
        if self.usd is None or endpoint.provider == REHEARSAL:
            return
        if not {"input", "output"} <= endpoint.price.keys():
            table = f'[models."{endpoint.model}"] price = {{ input = ..., output = ... }} in synthpert.toml'
            raise BadInput(
                f"--budget-usd: the price of {endpoint.model} at {endpoint.provider} is unknown; give {table}"
            )
        if _longest(endpoint) is None:
            raise BadInput(
                f"--budget-usd: nothing bounds an answer of {endpoint.model}, so a budget cannot be kept; "
                f"give --param {LIMITS[0]}=N, or max_output in its price in synthpert.toml"
            )

    def most(self, endpoint: Endpoint, request: Request) -> float:
        """Return the most that one try of a request may cost, in dollars."""
        if self.usd is None or endpoint.provider == REHEARSAL:
            return 0.0
        tokens = sum(len(m["content"].encode()) + FRAME for m in request.messages)
        tokens += len(orjson.dumps(endpoint.params))  # a schema or tools among them are billed as input
        price = endpoint.price
        return (
            tokens * max(price["input"], price.get("cached", 0.0)) + (_longest(endpoint) or 0) * price["output"]
        ) / 1e6

    def reserve(self, most: float) -> bool:
        """Set aside what a try may cost; false if it does not fit while the others are in flight."""
        if self.requests is not None and self.sent >= self.requests:
            return False
        if self.usd is not None and self.spent + self.reserved + most > self.usd:
            return False
        self.reserved += most
        self.sent += 1
        self.in_flight += 1
        return True

    def settle(self, most: float, reply: Reply | None) -> None:
        """Put what a try did cost in the place of what was set aside; without a reply it was given up."""
        self.in_flight -= 1
        self.reserved -= most
        self.spent += most if reply is None or reply.unsettled else reply.columns.get("usd") or 0.0

    def final(self) -> bool:
        """Tell whether what did not fit will never fit: nothing is in flight that might come back cheaper."""
        return not self.in_flight or (self.requests is not None and self.sent >= self.requests)

    def gone(self) -> str:
        """Say what of the budget is used up."""
        if self.requests is not None and self.sent >= self.requests:
            return f"--max-requests {self.requests:,} reached"
        # at most: of what was given up or cut, nobody knows whether it was billed
        return (
            f"--budget-usd {self.usd:g}: at most ${self.spent:.4f} is spent, "
            "and the next request may cost more than is left"
        )


def _longest(endpoint: Endpoint) -> int | None:
    """Return how many tokens an answer has at most; None if nothing bounds it."""
    given = [n for name in LIMITS if isinstance(n := endpoint.params.get(name), int) and n > 0]
    answers = endpoint.params.get("n", 1)
    bound = given[0] if given else endpoint.price.get("max_output")
    # a number below one bounds nothing: taken as it is, it would make room in the budget
    return None if bound is None else int(bound) * (max(answers, 1) if isinstance(answers, int) else 1)
