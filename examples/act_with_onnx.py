"""Act with a student that `lvlm2p export` wrote, in a MiniGrid environment, without lvlm2p.

pip install onnxruntime minigrid
python examples/act_with_onnx.py student.onnx MiniGrid-GoToDoor-6x6-v0
"""

import re
import sys
import zlib
from typing import Any

import gymnasium as gym
import numpy as np
import onnxruntime
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.wrappers import FullyObsWrapper


def inputs(env: Any, seen: Any) -> dict[str, Any]:
    """What the student is shown of one environment (it takes any number of them at once)."""
    words = re.findall(r"[^\W_]+", seen["mission"].lower())[:32]
    tokens = [1 + zlib.crc32(f"8:{word}".encode()) % 1023 for word in words]
    held = env.unwrapped.carrying
    carrying = [OBJECT_TO_IDX[held.type], COLOR_TO_IDX[held.color]] if held else [0, 0]
    return {
        "observation": seen["image"][None],
        "carrying": np.array([carrying], np.uint8),
        "tokens": np.array([tokens + [0] * (32 - len(tokens))]),
    }


def main(path: str, env_id: str, episodes: int = 10) -> None:
    student = onnxruntime.InferenceSession(path)
    env = FullyObsWrapper(gym.make(env_id))
    for seed in range(episodes):
        seen, over, total = env.reset(seed=seed)[0], False, 0.0
        while not over:
            (logits,) = student.run(None, inputs(env, seen))
            seen, reward, terminated, truncated, _ = env.step(int(logits.argmax()))
            over, total = terminated or truncated, total + float(reward)
        print(f"episode {seed}: return {total:.2f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
