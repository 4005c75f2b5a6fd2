"""How fast one asks: what is said is kept to, what is not said is found out."""

import heapq
import random
from collections import Counter
from itertools import pairwise

import pytest

from curation.asking.limits import Given, Limits
from curation.asking.replies import Reply
from curation.asking.work import REFUSALS


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def came(seconds=1.0, tokens=100, failure=None, **headers):
    columns = {"seconds": seconds, "tokens_out": tokens} | ({"failure": failure} if failure else {})
    return Reply(columns, {k.replace("_", "-"): v for k, v in headers.items()})


def send(limits, tokens=10):
    assert limits.delay(tokens) == 0
    limits.sent(tokens)


def back(limits, reply):
    limits.came(reply, limits.clock())


def said(limit, remaining, reset):
    told = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x_ratelimit_{what}_requests": value for what, value in told.items()}


def test_without_a_word_only_the_number_in_flight_holds(clock):
    limits = Limits(3, clock=clock)
    for _ in range(3):
        send(limits, 10**9)
    assert limits.delay(1) is None
    back(limits, came())
    assert limits.delay(1) == 0


def test_a_rate_that_is_given_goes_before_what_is_said(clock):
    limits = Limits(100, Given(requests=60, tokens=6_000), clock)
    for _ in range(60):
        send(limits, 1)
    assert limits.delay(1) == pytest.approx(1.0)  # one a second
    for _ in range(60):
        back(limits, came(**said("9999", "9999", "0s")))
    assert limits.delay(1) == pytest.approx(1.0)
    clock.now += 60
    assert limits.delay(6_000) == 0
    limits.sent(6_000)
    assert limits.delay(100) == pytest.approx(1.0)  # 100 tokens a second
    assert limits.delay(10**6) == pytest.approx(60.0)  # more than there is in a minute waits for a full one


def test_a_rate_is_learned_from_headers(clock):
    limits = Limits(100, clock=clock)
    send(limits)
    back(limits, came(**said("10", "2", "8s")))  # eight of ten are used, and one comes back each second
    send(limits)
    send(limits)
    assert limits.delay(1) == pytest.approx(1.0)
    clock.now += 3
    for _ in range(3):
        send(limits)
    assert limits.delay(1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("reset", "seconds"), [("1s", 1), ("6m0s", 360), ("120ms", 0.12), ("1h2m3s", 3723), ("8.64s", 8.64), ("7", 7)]
)
def test_times_as_servers_write_them(clock, reset, seconds):
    limits = Limits(10, clock=clock)
    send(limits)
    back(limits, came(failure="rate_limit", **said("10", "0", reset)))
    assert limits.delay(1) == pytest.approx(seconds)


def test_rubbish_in_headers_is_no_limit(clock):
    limits = Limits(10, clock=clock)
    for text in ("", "soon", "-", "nan", "-5", "inf"):
        send(limits)
        back(limits, came(**said(text, text, text)))
    assert limits.delay(1) == 0


def test_one_row_that_is_refused_stops_no_other(clock):
    limits = Limits(10, clock=clock)
    send(limits)
    back(limits, came(failure="rate_limit", retry_after="30"))
    assert limits.delay(1) == 0 and limits.window == 10


def test_a_budget_that_is_gone_stops_all_until_it_is_back(clock):
    limits = Limits(10, clock=clock)
    send(limits)
    back(limits, came(failure="rate_limit", retry_after="30", **said("500", "0", "60s")))
    assert limits.delay(1) == pytest.approx(60, abs=31)  # the later of the two is right, too
    assert limits.delay(1) >= 30


class Metered:
    """A server that takes so many a second, asked by rows that come again when they were refused."""

    def __init__(self, clock, rate, burst, answer):
        self.clock, self.rate, self.burst, self.answer = clock, rate, burst, answer
        self.level, self.filled = burst, clock.now
        self.tries, self.refused = Counter(), 0

    def takes(self):
        self.level = min(self.burst, self.level + (self.clock.now - self.filled) * self.rate)
        self.filled = self.clock.now
        taken = self.level >= 1
        self.level -= taken
        self.refused += not taken
        return taken

    def asked(self, limits, rows, **refusal):
        """Ask all rows, in steps of 5 ms; returns the seconds that it took."""
        began, waiting, coming = self.clock.now, [(0.0, row) for row in range(rows)], []
        while waiting or coming:
            while waiting and waiting[0][0] <= self.clock.now and limits.delay(10) == 0:
                row = heapq.heappop(waiting)[1]
                self.tries[row] += 1
                limits.sent(10)
                taken, at = self.takes(), self.clock.now
                heapq.heappush(coming, (at + (self.answer if taken else 0.02), row, at, taken))
            self.clock.now += 0.005
            while coming and coming[0][0] <= self.clock.now:
                _, row, at, taken = heapq.heappop(coming)
                reply = came(self.answer) if taken else came(0.02, failure="rate_limit", **refusal)
                limits.came(reply, at)
                if not taken:
                    wait = max(2 ** self.tries[row] / 2, reply.wait or 0.0)
                    heapq.heappush(waiting, (self.clock.now + wait, row))
        return self.clock.now - began


@pytest.mark.parametrize("refusal", [{}, {"retry_after": "3"}])
@pytest.mark.parametrize("answer", [0.1, 5.0])
@pytest.mark.parametrize(("rate", "burst", "most"), [(10, 10, 1.2), (10, 1, 2.0), (50, 100, 1.2)])  # 1: to the moment
def test_a_server_that_refuses_is_asked_what_it_takes(clock, rate, burst, most, answer, refusal):
    server, limits = Metered(clock, rate, burst, answer), Limits(rate * 10, clock=clock)
    seconds = server.asked(limits, 30 * rate, **refusal)
    assert seconds < most * (30 - burst / rate + answer)
    assert max(server.tries.values()) <= 6 < REFUSALS, "no row is given up, nor near it"
    assert server.refused < 10 * rate + 0.15 * 30 * rate, "what was sent before the first was known, and few since"
    assert limits.window == limits.most, "the number in flight is another matter"


def test_refusals_that_come_sooner_than_answers_are_no_rate(clock):
    """One in twenty is refused at once, while answers take their time: five in a row, and nothing to learn of them."""
    limits = Limits(100, clock=clock)
    for _ in range(100):
        send(limits)
    for _ in range(5):
        back(limits, came(0.01, failure="rate_limit", retry_after="1"))
    assert limits.delay(10) == 0 and not limits.pace.known


class ByTheMinute(Metered):
    """A server that takes so many in each minute by the clock, all at once if it must."""

    def takes(self):
        minute = self.clock.now // 60
        self.level, self.filled = (self.burst, minute) if minute != self.filled else (self.level, self.filled)
        taken = self.level >= 1
        self.level -= taken
        self.refused += not taken
        return taken


@pytest.mark.parametrize(("many", "rows", "answer"), [(30, 120, 1.0), (15, 60, 5.0), (60, 600, 2.0)])
def test_the_rest_of_a_minute_is_waited_out_and_not_filled_with_tries(clock, many, rows, answer):
    clock.now = 120.0
    server, limits = ByTheMinute(clock, 0, many, answer), Limits(64, clock=clock)
    assert server.asked(limits, rows) < (rows / many - 1) * 60 + answer + 20
    assert max(server.tries.values()) <= 6 < REFUSALS, "no row is given up, nor near it"
    assert server.refused < 2 * rows


def test_overloads_cut_the_number_in_flight_once_an_answer(clock):
    limits = Limits(64, clock=clock)
    for _ in range(64):
        send(limits)
    for _ in range(8):  # one burst, of what was sent before the first was known
        back(limits, came(failure="timeout"))
    assert 30 <= limits.window <= 32
    clock.now += 5
    for _ in range(3):
        back(limits, came(failure="timeout"))
    assert 15 <= limits.window <= 16


def test_one_at_a_time_that_is_too_much_waits_ever_longer(clock):
    limits, waits = Limits(4, clock=clock), []
    for _ in range(30):
        clock.now += limits.delay(1) or 0.0
        send(limits)
        clock.now += 0.01
        back(limits, came(failure="timeout"))
        waits.append(limits.delay(1))
    assert max(waits) == pytest.approx(60)
    clock.now += 60
    send(limits)
    back(limits, came())
    assert limits.closing == 0


def test_a_server_that_is_gone_is_asked_ever_more_seldom_until_it_answers(clock):
    limits, sent = Limits(64, clock=clock), []
    for _ in range(64):
        send(limits)
    for n in range(64):
        limits.came(came(failure="connection"), clock.now, str(n % 11))
    assert limits.delay(1) == 0, "a few that fail, however often, are not the server"
    for n in range(40):
        clock.now += limits.delay(1)
        send(limits)
        sent.append(clock.now)
        clock.now += 0.01
        limits.came(came(failure="connection"), sent[-1], str(n))
    gaps = [round(b - a) for a, b in pairwise(sent)]
    assert gaps[11:20] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    clock.now += limits.delay(1)
    send(limits)
    assert limits.delay(1) == pytest.approx(60), "one at a time"
    back(limits, came())
    assert limits.delay(1) == 0


def test_it_grows_again_by_one_a_round(clock):
    limits = Limits(64, clock=clock)
    for _ in range(3):
        send(limits)
        back(limits, came(failure="timeout"))
    assert limits.window == 1
    for n in range(1, 20):
        for _ in range(int(limits.window)):
            send(limits)
        assert limits.delay(1) is None
        for _ in range(limits.in_flight):
            back(limits, came())
        assert n / 2 < limits.window <= n + 2
    assert limits.window < 64


def test_an_error_now_and_then_is_the_servers_own_affair(clock):
    limits = Limits(64, clock=clock)
    for n in range(1_000):
        send(limits)
        failed = {0: "rate_limit", 25: "server_error"}.get(n % 50)
        back(limits, came(failure=failed))
        clock.now += 1
    assert limits.window == 64


def test_a_server_that_takes_ever_longer_is_sent_less(clock):
    limits = Limits(64, clock=clock)

    def round_of(seconds):
        while limits.delay(1) == 0:
            limits.sent(1)
        clock.now += seconds
        for _ in range(limits.in_flight):
            back(limits, came(seconds))

    round_of(1.0)
    assert limits.window == 64
    for _ in range(3):
        round_of(6.0)
    assert limits.window < 32
    low = limits.window
    for _ in range(10):
        round_of(1.0)
    assert limits.window > low


def windows(clock, speed, room, noise):
    """The number in flight over two hours of a server that changes after ten minutes; see below for what it is."""
    rng, limits, coming, seen = random.Random(0), Limits(64, clock=clock), [], []
    began = clock.now
    while (t := clock.now - began) < 7200:
        while limits.delay(1) == 0:
            limits.sent(1)
            queued = max(1.0, limits.in_flight / (64 if t < 600 else room))
            seconds = 3_000 / (150 if t < 600 else speed) * queued * rng.lognormvariate(0, noise)
            heapq.heappush(coming, (clock.now + seconds, clock.now, seconds))
        clock.now, at, seconds = heapq.heappop(coming)
        limits.came(came(seconds, 3_000), at)
        seen.append((clock.now - began, limits.window))
    return [window for t, window in seen if t > 3600]


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize(
    ("speed", "room", "least", "most"),
    [
        (30, 64, 60, 64),  # five times slower, whatever is in flight: nothing is won by sending less
        (150, 8, 12, 33),  # as fast, of eight at once: four times as many are the most that may wait
        (30, 8, 8, 40),  # both
    ],
)
def test_a_server_that_is_slower_for_good_is_told_from_one_that_queues(clock, speed, room, least, most, noise):
    seen = windows(clock, speed, room, noise)
    assert least <= sum(seen) / len(seen) <= most


def test_longer_answers_are_not_taken_for_a_queue(clock):
    limits = Limits(64, clock=clock)
    for n in range(1, 400):
        send(limits)
        back(limits, came(seconds=n, tokens=100 * n))
    assert limits.window == 64


def test_what_is_given_up_holds_no_place(clock):
    limits = Limits(1, clock=clock)
    send(limits)
    back(limits, None)
    assert limits.delay(1) == 0


@pytest.mark.parametrize("what", [("100", "0", "inf"), ("100", "0", "9" * 400 + "s"), ("100", "-inf", "1s")])
@pytest.mark.parametrize("failure", [None, "rate_limit"])
def test_limits_that_no_number_holds_end_no_run(clock, what, failure):
    limits = Limits(4, clock=clock)
    send(limits)
    back(limits, came(failure=failure, **said(*what)))
    assert limits.delay(10) < 600


@pytest.mark.parametrize("tokens", [2**52, 999_999])
def test_one_answer_that_is_counted_wrong_ends_no_run(clock, tokens):
    limits, waited = Limits(64, Given(tokens=1_000_000), clock), []
    send(limits, 500)
    back(limits, came(tokens=tokens))
    for _ in range(100):
        waited.append(limits.delay(500 + limits.tokens_out))
        clock.now += waited[-1]
        limits.sent(500 + limits.tokens_out)
        back(limits, came(tokens=100))
    assert max(waited) <= 60 and waited[-1] < 1


@pytest.mark.parametrize("failure", [None, "rate_limit"])
def test_a_reset_that_is_a_time_and_no_span_is_not_waited_for(clock, failure):
    limits = Limits(4, clock=clock)
    send(limits)
    back(limits, came(failure=failure, **said("100", "0", "1790000000")))
    assert limits.delay(10) <= 1
