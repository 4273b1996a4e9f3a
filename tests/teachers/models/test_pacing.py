"""Slots, limits and prices, without a provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from lvlm2p.envs import task_named
from lvlm2p.prompts.answer_format import FORMATS
from lvlm2p.teachers import load_teacher
from lvlm2p.teachers.label import Usage
from lvlm2p.teachers.listing import available
from lvlm2p.teachers.models.hosted import retry
from lvlm2p.teachers.models.hosted.capabilities import capabilities_of
from lvlm2p.teachers.models.hosted.prices import price_of_1000, tokens_of_label
from lvlm2p.teachers.models.hosted.provider_errors import ProviderError
from lvlm2p.teachers.models.hosted.rate_limit import (
    START,
    ConcurrencyLimiter,
    KeyLimiter,
    TokenBucket,
)
from lvlm2p.teachers.models.hosted.retry import Caller
from lvlm2p.teachers.models.messages import Reply, Request

STATED = FORMATS["stated"]
REQUEST = Request("1", [{"role": "user", "content": "?"}])


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_concurrency_doubles_until_the_first_429_then_grows_by_one_a_round() -> None:
    async def story() -> None:
        limiter = ConcurrencyLimiter([None], concurrency=1000)
        (key,) = limiter.keys
        assert key.limit == START
        for limit in (2 * START, 4 * START):
            for _ in range(int(key.limit)):
                await limiter.acquire()
            while key.running:
                limiter.release(key, 10)
            assert key.limit == limit
        entered = time.monotonic()
        limiter.slow_down(key, entered, 0.0)
        assert key.limit == 2 * START
        limiter.slow_down(key, entered - 1, 0.0)
        assert key.limit == 2 * START, "a call from before the 429 says nothing new"
        for _ in range(2 * START):
            await limiter.acquire()
            limiter.release(key, 10)
        assert key.limit == pytest.approx(2 * START + 1, abs=0.1)

    run(story())


def test_slots_are_never_exceeded_and_nobody_waits_for_ever() -> None:
    async def story() -> None:
        limiter, running, most = ConcurrencyLimiter([None, None], concurrency=7), 0, 0

        async def caller(number: int) -> None:
            nonlocal running, most
            key = await limiter.acquire()
            assert key is not None
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001 * (number % 3))
            running -= 1
            if number % 10 == 0:
                limiter.slow_down(key, time.monotonic(), 0.002)
            limiter.release(key, None if number % 5 == 0 else 10)

        await asyncio.wait_for(asyncio.gather(*map(caller, range(300))), 30)
        assert most <= 7

    run(story())


def test_a_cancelled_waiter_passes_its_slot_on() -> None:
    async def story() -> None:
        limiter = ConcurrencyLimiter([None], concurrency=1)
        key = await limiter.acquire()
        assert key is not None
        waiting = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        limiter.release(key, 10)
        waiting[0].cancel()
        done, _ = await asyncio.wait(waiting[1:], timeout=5, return_when="FIRST_COMPLETED")
        assert done
        for task in waiting:
            task.cancel()

    run(story())


def test_a_paused_key_leaves_the_work_to_the_others() -> None:
    async def story() -> None:
        limiter = ConcurrencyLimiter(["a", "b"], concurrency=10)
        limiter.slow_down(limiter.keys[0], time.monotonic(), 60.0)
        used = []
        for _ in range(5):
            key = await limiter.acquire()
            assert key is not None
            used.append(key.key)
            limiter.release(key, 10)
        assert used == ["b"] * 5
        limiter.disable(limiter.keys[0], "wrong key")
        limiter.disable(limiter.keys[1], "wrong key")
        assert await limiter.acquire() is None

    run(story())


def test_a_waiter_cancelled_while_its_key_is_paused_passes_the_word_on() -> None:
    async def story() -> None:
        limiter = ConcurrencyLimiter([None], concurrency=1)
        key = await limiter.acquire()
        assert key is not None
        first, second = (asyncio.create_task(limiter.acquire()) for _ in range(2))
        await asyncio.sleep(0.01)
        limiter.slow_down(key, time.monotonic(), 0.2)
        limiter.release(key)
        await asyncio.sleep(0.05)
        first.cancel()
        assert await asyncio.wait_for(second, 2) is key

    run(story())


def test_requests_per_minute_are_kept() -> None:
    async def story() -> float:
        limiter = ConcurrencyLimiter([None], concurrency=10, requests_per_minute=600)
        started = time.monotonic()
        for _ in range(75):  # 60 from the bucket, 15 at 10 a second
            key = await limiter.acquire()
            assert key is not None
            limiter.release(key, 10)
        return time.monotonic() - started

    assert run(story()) >= 1.3


def test_tokens_per_minute_learn_what_a_call_takes() -> None:
    bucket = TokenBucket(per_minute=6000)
    assert bucket.wait(500) == 0
    bucket.take(2000)
    assert bucket.wait(500) == pytest.approx(19, abs=0.5)
    assert bucket.wait(10**9) < 30, "more than the bucket holds is there when it is full"


def test_a_429_counts_less_than_other_faults() -> None:
    async def story() -> int:
        calls = 0

        async def busy(request: Request, key: str | None) -> Reply:
            nonlocal calls
            calls += 1
            if calls < 6:
                raise ProviderError("rate_limited", "busy", wait=0.0)
            return Reply("ok", usage=Usage(calls=1))

        await Caller(busy, ConcurrencyLimiter([None], 4), retries=1).reply(REQUEST, "k")
        return calls

    assert run(story()) == 6


def test_pauses_double_up_to_a_minute_unless_the_provider_says_how_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    broken = ProviderError("unavailable", "broken")
    pauses = [retry._pause(broken, attempt) for attempt in (0, 1, 2, 5, 6, 7, 8, 10**6)]
    assert pauses == [0.5, 1, 2, 16, 32, 60, 60, 60]
    assert retry._pause(ProviderError("unavailable", "busy", wait=7.0), 3) == 7
    assert retry._pause(ProviderError("rate_limited", "busy", wait=7.0), 3) == 0, "the key pauses"
    assert retry._pause(ProviderError("rejected", "no", scope="credential"), 3) == 0


class Shelf:
    """A journal in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get_reply(self, key: str) -> dict[str, Any] | None:
        return self.kept.get(key)

    def put_reply(self, key: str, reply: Any) -> None:
        self.kept[key] = dict(reply)


def test_a_reply_is_in_the_journal_before_it_is_used_even_if_nobody_waits() -> None:
    async def story() -> None:
        shelf, calls = Shelf(), 0

        async def slow(request: Request, key: str | None) -> Reply:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0.05)
            return Reply("ok", usage=Usage(calls=1), cost_usd=0.5, alternatives={"A": 1.0})

        caller = Caller(slow, ConcurrencyLimiter([None], 4), retries=0, journal=shelf)
        task = asyncio.create_task(caller.reply(REQUEST, "k"))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.2)
        assert shelf.kept["k"]["text"] == "ok"
        assert (await caller.reply(REQUEST, "k")).alternatives == {"A": 1.0}
        assert calls == 1

    run(story())


def test_limiters_do_not_show_their_key() -> None:
    assert "secret" not in repr(KeyLimiter("secret"))


@pytest.mark.parametrize(
    ("model", "temperature", "logprobs", "cache"),
    [
        ("openai/gpt-4.1-mini", True, True, "key"),
        ("openai/gpt-5-mini", False, False, "key"),
        ("openai/o4-mini", False, False, "key"),
        ("openai/gpt-6-luna", False, True, "key"),
        ("openai/my-own", True, True, "auto"),
        ("anthropic/claude-haiku-5-5", False, False, "marks"),
        ("anthropic/claude-haiku-4-5", True, False, "marks"),
        ("gemini/gemini-3.8-flash", False, True, "auto"),
        ("hosted_vllm/Qwen/Qwen3-VL-8B-Instruct", True, True, "auto"),
    ],
)
def test_capabilities(model: str, temperature: bool, logprobs: bool, cache: str) -> None:
    able = capabilities_of(model)
    assert (able.temperature, able.logprobs, able.cache) == (temperature, logprobs, cache)
    assert able.paid == (not model.startswith("hosted_vllm/"))


def test_the_price_is_counted_from_the_prompt() -> None:
    none, four = (tokens_of_label("openai/gpt-4.1-mini", "two-turn", n, STATED)[0] for n in (0, 4))
    assert none is not None and four is not None and 500 < none < four < 10_000
    one_turn = tokens_of_label("openai/gpt-4.1-mini", "direct", 4, STATED)[0]
    assert one_turn is not None and one_turn < 0.7 * four
    sent, said = tokens_of_label("openai/gpt-4.1-mini", "two-turn", 4, STATED)
    assert sent == four
    price = price_of_1000("openai/gpt-4.1-mini", shots=4)
    assert price == pytest.approx(1000 * (sent * 0.4 + said * 1.6) / 1e6)
    assert price_of_1000("openai/unheard-of") is None


def test_who_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    rows = {row.name: row for row in available()}
    assert not rows["gpt-4v"].ready and "OPENAI_API_KEY" in rows["gpt-4v"].note
    assert rows["claude"].ready and "logprobs" not in rows["claude"].elicitations
    assert rows["gemini"].usd_per_1000 is not None and rows["gemini"].usd_per_1000 > 0.1
    assert rows["qwen-vl-local"].usd_per_1000 == 0.0
    assert rows["litellm"].usd_per_1000 is None


def fingerprint(name: str, **options: Any) -> str:
    return load_teacher(name, options=options).fingerprint_for(task_named("fetch"))


def test_what_changes_an_answer_changes_the_fingerprint() -> None:
    base = fingerprint("gpt-4v")
    changes: list[dict[str, Any]] = [
        {"model": "gpt-4.1"},
        {"elicit": "choice"},
        {"prompt": "direct"},
        {"shots": 2},
        {"temperature": 0.5},
        {"max_tokens": 99},
        {"reask": 0},
        {"api_base": "http://10.0.0.1/v1"},
    ]
    different = {fingerprint("gpt-4v", **change) for change in changes}
    assert len(different | {base}) == len(changes) + 1
    votes = {fingerprint("gpt-4v", elicit="votes", samples=n) for n in (3, 5)}
    assert len(votes) == 2


def test_nothing_else_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    base = fingerprint("gpt-4v")
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    for same in (
        {"timeout": 5},
        {"retries": 1},
        {"concurrency": 2},
        {"requests_per_minute": 10},
        {"key_file": "/nowhere"},
        {"samples": 9},
        {"model": "openai/gpt-4.1-mini"},
    ):
        assert fingerprint("gpt-4v", **same) == base
    assert fingerprint("litellm:openai/gpt-4.1-mini") == base, "whatever the teacher is called"


def test_a_server_of_ones_own_may_move() -> None:
    here = fingerprint("qwen-vl-local", model="Qwen/A", api_base="http://127.0.0.1:8000/v1")
    there = fingerprint("qwen-vl-local", model="Qwen/A", api_base="http://gpu-box:9000/v1")
    assert here == there != fingerprint("qwen-vl-local", model="Qwen/B")
