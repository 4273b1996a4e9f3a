"""Names of what is asked: view keys, prompt fingerprints, teacher fingerprints."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from lvlm2p.envs import View, canonical, make_env, mirror, task_named, view_of
from lvlm2p.prompts import load_prompt, prompt_names
from lvlm2p.teachers import Lvlm2pError, load_teacher

TASKS = ("lava-gap", "dynamic-obstacles", "fetch", "go-to-door")
ELICITS: tuple[Any, ...] = ("stated", "logprobs", "votes", "choice")

WALKS: dict[str, tuple[int, ...]] = {
    "MiniGrid-LavaGapS5-v0": (2, 1, 0),
    "MiniGrid-LavaGapS7-v0": (1, 2, 2),
    "MiniGrid-Dynamic-Obstacles-5x5-v0": (1, 0),
    "MiniGrid-Dynamic-Obstacles-Random-6x6-v0": (0, 0),
    "MiniGrid-Fetch-5x5-N2-v0": (2, 1, 2, 0),
    "MiniGrid-Fetch-8x8-N3-v0": (0, 2),
    "MiniGrid-GoToDoor-5x5-v0": (2, 0, 2),
    "MiniGrid-GoToDoor-6x6-v0": (1, 2, 2),
}
"""Environment -> what the agent does (the environment's own action numbers) in each episode."""


def walk(env_id: str, seed: int) -> list[View]:
    """The states of the beginning of one episode."""
    env = make_env(env_id)
    env.reset(seed=seed)
    views = [view_of(env)]
    for action in WALKS[env_id]:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            break
        views.append(view_of(env))
    env.close()
    return views


def task_views(task: str) -> list[View]:
    """Eight distinct states of a task, always the same."""
    views = {
        view.key: view
        for env_id in WALKS
        for seed in range(4)
        for view in walk(env_id, seed)
        if view.task.name == task
    }
    return list(views.values())[:8]


def views() -> dict[str, Any]:
    """What every state of the walks is called and consists of, and what its images are called."""
    found: dict[str, Any] = {}
    for env_id in WALKS:
        for seed in range(2):
            for step, view in enumerate(walk(env_id, seed)):
                found[f"{env_id} seed {seed} step {step}"] = seen(view)
    carrying = View(task_named("fetch"), walk("MiniGrid-Fetch-5x5-N2-v0", 0)[0].state,
                    "go get a red key", "purple key")  # fmt: skip
    return {**found, "carrying": seen(carrying)}


def seen(view: View) -> dict[str, Any]:
    """All names of one state, and its parts."""
    blank = View(view.task, view.state, view.mission, view.carrying, blank=True)
    least, actions = canonical(view)
    image, exchanged = mirror(view)
    return {
        "key": view.key,
        "json": view.to_json(),
        "blank": blank.key,
        "canonical": {"key": least.key, "actions": actions},
        "mirror": {"key": image.key, "actions": exchanged},
        "pixels": hashlib.sha256(view.image().tobytes()).hexdigest()[:16],
        "text": view.text,
    }


def prompts() -> dict[str, str]:
    """The fingerprint of every shipped prompt."""
    return {
        f"{name} {task} {elicit} shots={shots}": load_prompt(
            name, task_named(task), shots=shots, elicit=elicit
        ).fingerprint
        for name in prompt_names()
        for task in TASKS
        for elicit in ELICITS
        for shots in (0, None)
    }


def tiny_folder() -> Path:
    """The shipped checkpoint as a folder, wherever it lies."""
    (weights,) = (Path(__file__).parents[2] / "teachers").rglob("model.safetensors")
    return weights.parent


TEACHERS: dict[str, dict[str, object]] = {
    "tiny-vl": {},
    "gemini": {},
    "gpt-4v": {},
    "claude": {},
    "litellm:openai/gpt-4.1": {},
    "litellm:xai/grok-4": {},
    "litellm:hosted_vllm/Qwen/Qwen3-VL-8B-Instruct": {},
    "qwen-vl-local": {"model": "Qwen/Qwen3-VL-8B-Instruct"},
    "qwen-vl-hf": {"model": "TINY"},
}
"""Teachers that are asked in words, and options without which they can't be named."""

VARIED: tuple[tuple[str, dict[str, object]], ...] = (
    ("gpt-4v", {"temperature": 0.5}),
    ("gpt-4v", {"shots": 0}),
    ("gpt-4v", {"shots": 2}),
    ("gpt-4v", {"prompt": "direct"}),
    ("gpt-4v", {"prompt": "tiny"}),
    ("gpt-4v", {"elicit": "votes", "samples": 3}),
    ("gpt-4v", {"elicit": "choice", "smoothing": 0.1}),
    ("gpt-4v", {"model": "gpt-4.1"}),
    ("gpt-4v", {"max_tokens": 77}),
    ("gpt-4v", {"reask": 0}),
    ("gpt-4v", {"reasoning_effort": "low"}),
    ("gpt-4v", {"api_base": "https://example.org/v1"}),
    ("claude", {"api_base": "https://user@example.org:8443/x/"}),
    ("qwen-vl-local", {"model": "tiny-vl"}),
    ("qwen-vl-local", {"model": "Qwen/Qwen3-VL-8B-Instruct", "temperature": 0.7}),
    ("qwen-vl-hf", {"model": "TINY", "temperature": 0.7}),
    ("qwen-vl-hf", {"model": "TINY", "max_tokens": 9}),
    ("tiny-vl", {"elicit": "votes", "samples": 2}),
    ("expert", {"confidence": 0.8}),
    ("expert", {"error_rate": 0.2}),
    ("expert", {"error_rate": 0.2, "seed": 1}),
)
"""Options that change who answers."""

WITHOUT_EFFECT: tuple[tuple[str, dict[str, object]], ...] = (
    ("gpt-4v", {"timeout": 1}),
    ("gpt-4v", {"concurrency": 2}),
    ("gpt-4v", {"key_file": "keys.txt"}),
    ("gpt-4v", {"retries": 0}),
    ("gpt-4v", {"insecure": True}),
    ("gpt-4v", {"requests_per_minute": 3, "tokens_per_minute": 1000}),
    ("gpt-4v", {"samples": 9}),
    ("gpt-4v", {"smoothing": 0.1}),
    ("gpt-4v", {"temperature": None}),
    ("qwen-vl-local", {"model": "Qwen/Qwen3-VL-8B-Instruct", "api_base": "http://10.0.0.1:9/v1"}),
    ("qwen-vl-hf", {"model": "TINY", "batch": 3}),
    ("tiny-vl", {"batch": 3}),
)
"""Options that don't; a teacher with them is the teacher without."""


def fingerprints() -> dict[str, Any]:
    """The fingerprints of every shipped teacher, by task."""
    found: dict[str, Any] = {"expert": prints("expert", {}), "random": prints("random", {})}
    for name, needed in TEACHERS.items():
        for elicit in ELICITS:
            found[f"{name} elicit={elicit}"] = prints(name, {**needed, "elicit": elicit})
    for name, options in VARIED:
        found[called(name, options)] = prints(name, options)
    return found


def called(name: str, options: dict[str, object]) -> str:
    """A teacher and its options, in one line."""
    return " ".join([name, *(f"{key}={value}" for key, value in options.items())])


def prints(name: str, options: dict[str, object]) -> dict[str, str] | str:
    """The fingerprint as such (*) and for each task; the error's name where there is no such
    teacher.
    """
    if options.get("model") == "TINY":
        options = {**options, "model": str(tiny_folder())}
    try:
        teacher = load_teacher(name, options=options)
    except Lvlm2pError as error:
        return type(error).__name__
    by_task = {task: teacher.fingerprint_for(task_named(task)) for task in TASKS}
    return {"*": teacher.fingerprint, **by_task}
