"""Frames per CPU-second on GoToDoor-6x6, 16 environments, one thread, against other projects.

    python -m pip install --constraint constraints.txt --editable '.[bench]'
    python benchmarks/throughput.py

Every part runs in a process of its own, five times, in turns with the others: the table has the
medians. CPU time, not wall time: it does not count what else the machine is doing (though a busy
one makes caches colder). Start-up is left out: each part is run for a short and for a long time,
and the difference counts.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENV = "MiniGrid-GoToDoor-6x6-v0"
ENVS, STEPS = 16, 128
SHORT, LONG = ENVS * STEPS, 7 * ENVS * STEPS
ROUNDS = 5
OTHERS_SHORT, OTHERS_LONG = ENVS * STEPS, 4 * ENVS * STEPS


def speed(run: Callable[[int], object], short: int, long: int) -> float:
    """Frames per CPU-second of ``run(frames)``, beyond its start-up.

    The first call is not measured: it imports, and what it fills stays filled.
    """
    run(short)
    seconds = []
    for frames in (short, long):
        start = time.process_time()
        run(frames)
        seconds.append(time.process_time() - start)
    return (long - short) / (seconds[1] - seconds[0])


# ---------------------------------------------------------------- environments alone


def stepping_ours() -> dict[str, float]:
    import numpy as np

    from lvlm2p.envs import VectorEnv

    env, rng = VectorEnv(ENV, ENVS, 0), np.random.default_rng(0)
    env.reset()

    def run(frames: int) -> None:
        for _ in range(frames // ENVS):
            env.step(rng.integers(env.n_actions, size=ENVS))

    return {"speed": speed(run, SHORT, LONG)}


def stepping_theirs() -> dict[str, float]:
    import gymnasium as gym
    import numpy as np

    env, rng = gym.vector.SyncVectorEnv([_their_env] * ENVS), np.random.default_rng(0)
    env.reset(seed=0)

    def run(frames: int) -> None:
        for _ in range(frames // ENVS):
            env.step(rng.integers(7, size=ENVS))

    return {"speed": speed(run, SHORT, LONG)}


def _their_env() -> Any:
    import gymnasium as gym
    from minigrid.wrappers import FullyObsWrapper

    return FullyObsWrapper(gym.make(ENV))


# ---------------------------------------------------------------- training


def ours(teacher: str = "none", **options: Any) -> dict[str, float]:
    from lvlm2p.student import TrainConfig, load_student, train
    from lvlm2p.teachers import LabelStore, load_teacher

    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore(Path(folder) / "store")
        runs = iter(range(100))

        def run(frames: int) -> None:
            config = TrainConfig(
                env=ENV,
                teacher=teacher,
                frames=frames,
                recipe="fast",  # a row's rollouts and replays are STEPS long and its own
                n_envs=ENVS,
                n_steps=STEPS,
                kl_minibatches=64,
                kl_images=0,
                kl_schedule="constant",
                eval_every=0,
                final_episodes=1,
                checkpoint_every=0,
                progress=False,
                run_dir=Path(folder) / str(next(runs)),
                **options,
            )
            train(config, None if teacher == "none" else load_teacher(teacher, store=store))

        if teacher != "none":
            run(LONG)  # from now on every label is stored
        result = {"speed": speed(run, SHORT, LONG)}
        network = load_student(Path(folder) / "0").policy
    return result | {"parameters": sum(p.numel() for p in network.parameters())}


def stable_baselines(size: int) -> dict[str, float]:
    """Its MlpPolicy on the flat grid and a bag of the mission's words; of our network's size."""
    import gymnasium as gym
    import numpy as np
    from stable_baselines3 import PPO

    words = ["go", "to", "the", "red", "green", "blue", "purple", "yellow", "grey", "door"]

    class Flat(gym.ObservationWrapper[Any, Any, Any]):
        def __init__(self, env: Any) -> None:
            super().__init__(env)
            self.observation_space = gym.spaces.Box(0, 255, (108 + len(words),), np.float32)

        def observation(self, observation: Any) -> Any:
            bag = [float(word in observation["mission"]) for word in words]
            flat = observation["image"].ravel()
            return np.concatenate([flat, bag], dtype=np.float32)

    def parameters(width: int) -> int:
        inputs = 108 + len(words)
        return 2 * ((inputs + 1) * width + (width + 1) * width) + (width + 1) * 8

    width = min(range(16, 512), key=lambda w: abs(parameters(w) - size))

    from stable_baselines3.common.vec_env import DummyVecEnv

    model = PPO(
        "MlpPolicy",
        DummyVecEnv([lambda: Flat(_their_env())] * ENVS),
        n_steps=STEPS,
        batch_size=256,
        n_epochs=4,
        learning_rate=1e-3,
        policy_kwargs={"net_arch": {"pi": [width, width], "vf": [width, width]}},
        device="cpu",
    )
    result = {"speed": speed(lambda n: model.learn(n), OTHERS_SHORT, OTHERS_LONG)}
    return result | {"parameters": sum(p.numel() for p in model.policy.parameters())}


def torch_ac(size: int) -> dict[str, float]:
    """Its PPO with a small CNN and a GRU for the mission, as its starter files have them; its
    environments stepped in this process, which costs less than its own worker processes."""
    import torch
    import torch_ac
    from torch import nn

    class Envs:
        def __init__(self, envs: list[Any]) -> None:
            self.envs = envs

        def reset(self) -> list[Any]:
            return [env.reset()[0] for env in self.envs]

        def step(self, actions: Any) -> Any:
            rows = []
            for env, action in zip(self.envs, actions, strict=True):
                seen, reward, terminated, truncated, info = env.step(action)
                if terminated or truncated:
                    seen, _ = env.reset()
                rows.append((seen, reward, terminated, truncated, info))
            return zip(*rows, strict=True)

    class Model(nn.Module, torch_ac.ACModel):  # type: ignore[misc]
        recurrent = False

        def __init__(self, width: int) -> None:
            super().__init__()
            self.image = nn.Sequential(
                *(nn.Conv2d(3, 16, 2), nn.ReLU(), nn.Conv2d(16, 32, 2), nn.ReLU(), nn.Flatten())
            )
            self.words = nn.Embedding(100, 32)
            self.mission = nn.GRU(32, 64, batch_first=True)
            self.actor = nn.Sequential(nn.Linear(576, width), nn.Tanh(), nn.Linear(width, 7))
            self.critic = nn.Sequential(nn.Linear(576, width), nn.Tanh(), nn.Linear(width, 1))

        def forward(self, seen: Any) -> Any:
            image = self.image(seen.image.transpose(1, 3))
            _, mission = self.mission(self.words(seen.text))
            x = torch.cat([image, mission[0]], dim=1)
            policy = torch.distributions.Categorical(logits=self.actor(x))
            return policy, self.critic(x).squeeze(1)

    numbers: dict[str, int] = {}

    def preprocess(seen: Any, device: Any = None) -> Any:
        import numpy as np

        text = [[numbers.setdefault(w, len(numbers)) for w in s["mission"].split()] for s in seen]
        image = np.array([s["image"] for s in seen])
        return torch_ac.DictList(
            {"image": torch.tensor(image, dtype=torch.float), "text": torch.tensor(text)}
        )

    import torch_ac.algos.base

    torch_ac.algos.base.ParallelEnv = Envs
    model = min(
        (Model(width) for width in range(16, 256, 4)),
        key=lambda m: abs(sum(p.numel() for p in m.parameters()) - size),
    )
    algo = torch_ac.PPOAlgo(
        [_their_env() for _ in range(ENVS)],
        model,
        "cpu",
        num_frames_per_proc=STEPS,
        recurrence=1,
        epochs=4,
        batch_size=256,
        preprocess_obss=preprocess,
    )

    def run(frames: int) -> None:
        for _ in range(frames // (ENVS * STEPS)):
            experiences, _ = algo.collect_experiences()
            algo.update_parameters(experiences)

    result = {"speed": speed(run, OTHERS_SHORT, OTHERS_LONG)}
    return result | {"parameters": sum(p.numel() for p in model.parameters())}


# ---------------------------------------------------------------- the table

PARTS: dict[str, Callable[[int], dict[str, float]]] = {
    "stepping": lambda _: stepping_ours(),
    "stepping, SyncVectorEnv + FullyObsWrapper": lambda _: stepping_theirs(),
    "PPO": lambda _: ours(),
    "PPO, Stable-Baselines3": stable_baselines,
    "PPO, torch-ac": torch_ac,
    "PPO with as many gradient steps as with a teacher": lambda _: ours(epochs=12),
    "PPO with a teacher, every label stored": lambda _: ours("expert", kl_minibatches=64),
}
"""12 epochs of 8 minibatches are 96 gradient steps a rollout: so are 4 epochs and 64 of replay."""

CLAIMS = [
    ("stepping", "stepping, SyncVectorEnv + FullyObsWrapper", 4.0),
    ("PPO", "PPO, Stable-Baselines3", 3.0),
    ("PPO", "PPO, torch-ac", 4.0),
    (
        "PPO with a teacher, every label stored",
        "PPO with as many gradient steps as with a teacher",
        0.9,
    ),
]


def measure(part: str, size: int) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, part, str(size)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> int:
    if len(sys.argv) > 2:
        import torch

        torch.set_num_threads(1)
        result = PARTS[sys.argv[1]](int(sys.argv[2]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**result, "memory": peak}))
        return 0
    size = int(measure("PPO", 0)["parameters"])
    rounds = [{part: measure(part, size) for part in PARTS} for _ in range(ROUNDS)]
    speeds = {part: statistics.median(r[part]["speed"] for r in rounds) for part in PARTS}
    print("| | frames per CPU-second | parameters | peak memory, MB |\n|---|---|---|---|")
    for part, last in rounds[-1].items():
        parameters = f"{last['parameters']:,}" if "parameters" in last else ""
        print(f"| {part} | {speeds[part]:,.0f} | {parameters} | {last['memory']:,.0f} |")
    good = True
    print()
    for mine, other, wanted in CLAIMS:
        ratio = statistics.median(r[mine]["speed"] / r[other]["speed"] for r in rounds)
        good = good and ratio >= wanted
        print(f"- {mine} / {other}: {ratio:.2f} (wanted: at least {wanted})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
