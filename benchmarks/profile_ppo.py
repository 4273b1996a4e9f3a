"""Where the time of PPO without a teacher goes, as `benchmarks/throughput.py` runs it.

    python benchmarks/profile_ppo.py                   # 1, 16, 64 and 256 environments
    python benchmarks/profile_ppo.py --envs 16 --rollouts 8

CPU-microseconds of a frame, one thread. Each part counts without the parts that it calls: a
profiler that watches every function would cost most where functions are many, so a few are watched.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import os
import pkgutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peers.task import ROLLOUT
from benchmarks.throughput import ours

WATCHED = {
    "stepping": ["lvlm2p.envs.vector.VectorEnv.step"],
    "encoding observations": ["lvlm2p.student.models.encoder.Encoder.__call__"],
    "policy, to act": ["lvlm2p.student.models.policy.Actor.__call__"],
    "values of a rollout": ["lvlm2p.student.learn.collect._values"],
    "rest of collecting": ["lvlm2p.student.training.loop.collect"],
    "update: forward": ["lvlm2p.student.models.policy.Policy.evaluate"],
    "update: backward": ["torch.Tensor.backward"],
    "update: Adam and the gradient's norm": [
        *("torch.optim.Adam.step", "torch.nn.utils.clip_grad_norm_"),
    ],
    "update: minibatches": ["lvlm2p.student.learn.rollout.Rollout.minibatches"],
    "update: losses and the rest": ["lvlm2p.student.learn.ppo.update"],
}
"""Parts, and the functions whose time is theirs."""

REST = "rest of training"
END = object()


class Clock:
    """CPU time by part; time in a part that another calls is not the other's."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._parts, self._since = [REST], time.process_time()

    def _charge(self) -> None:
        now = time.process_time()
        self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    def enter(self, part: str) -> None:
        self._charge()
        self._parts.append(part)

    def leave(self) -> None:
        self._charge()
        self._parts.pop()

    def watching(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, whose time counts for ``part``."""

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.enter(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.leave()

        return watched

    def watching_each(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same for a generator: what its caller does between two items is not its time."""

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            one = self.watching(part, functools.partial(next, iter(function(*args, **kwargs)), END))
            return iter(one, END)

        return watched

    def watching_awaited(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same for a coroutine, of which one is awaited at a time."""

        @functools.wraps(function)
        async def watched(*args: Any, **kwargs: Any) -> Any:
            self.enter(part)
            try:
                return await function(*args, **kwargs)
            finally:
                self.leave()

        return watched


def profiled(n_envs: int, rollouts: int) -> dict[str, float]:
    """CPU-microseconds of a frame by part."""
    run, _ = ours(n_envs, 0)
    clock = Clock()
    with ExitStack() as patches:
        for part, names in WATCHED.items():
            for name in names:
                owner, _, attribute = name.rpartition(".")
                holder = pkgutil.resolve_name(owner)
                function = getattr(holder, attribute)
                watch = clock.watching
                if inspect.isgeneratorfunction(function):
                    watch = clock.watching_each
                if inspect.iscoroutinefunction(function):
                    watch = clock.watching_awaited
                patches.enter_context(mock.patch.object(holder, attribute, watch(part, function)))
        spent = []
        for length in (1, 1 + rollouts):
            clock.seconds.clear()
            run(length * ROLLOUT)
            clock.enter(REST)
            clock.leave()
            spent.append(dict(clock.seconds))
    first, second = spent
    parts = [*WATCHED, REST]
    each = 1e6 / (rollouts * ROLLOUT)
    return {part: (second.get(part, 0) - first.get(part, 0)) * each for part in parts}


def main() -> None:
    """Measure, and print a table."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--envs", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--rollouts", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {n: profiled(n, given.rollouts) for n in given.envs}
    print(f"| microseconds of a frame | {' | '.join(f'{n} environments' for n in found)} |")
    print("|---" * (len(found) + 1) + "|")
    for part in [*WATCHED, REST]:
        print(f"| {part} | {' | '.join(f'{times[part]:.1f}' for times in found.values())} |")
    print(f"| all | {' | '.join(f'{sum(times.values()):.1f}' for times in found.values())} |")


if __name__ == "__main__":
    main()
