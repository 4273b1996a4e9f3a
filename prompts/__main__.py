"""Shows a prompt as a model gets it: `python -m lvlm2p.prompts two-turn go-to-door --shots 2`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from lvlm2p.envs import Lvlm2pError, View, covered_ids, make_env, task_for, task_named, view_of
from lvlm2p.envs.untrusted import plain
from lvlm2p.prompts.answer_format import FORMATS
from lvlm2p.prompts.conversation import Conversation, Message, pictures, plain_text
from lvlm2p.prompts.prompt import load_prompt, prompt_names


def main() -> int:
    """Print the conversation about a first state; 2 where the input is wrong."""
    parser = argparse.ArgumentParser(prog="python -m lvlm2p.prompts", description=__doc__)
    parser.add_argument("prompt", help=f"{', '.join(prompt_names())}, or a folder of your own")
    parser.add_argument("task", help="a task's name (go-to-door) or a Gymnasium id")
    parser.add_argument("--shots", type=int, help="number of examples, else the prompt's own")
    parser.add_argument("--elicit", choices=list(FORMATS), default="stated")
    parser.add_argument("--seed", type=int, default=0, help="of the environment")
    parser.add_argument("--images", type=Path, help="a folder to put the pictures into")
    args = parser.parse_args()
    try:
        view = _first_view(args.task, args.seed)
        prompt = load_prompt(args.prompt, view.task, shots=args.shots, elicit=args.elicit)
        conversation = prompt.conversation(view)
    except Lvlm2pError as error:
        print(plain(f"error: {error}"), file=sys.stderr)
        return error.exit_code
    print(plain("\n".join(_shown(conversation, args.images))))
    about = f"{prompt.name}, {prompt.shots} shots, {args.elicit}; fingerprint {prompt.fingerprint}"
    print(plain(f"\n{about}"))
    print(_size(conversation))
    return 0


def _first_view(name: str, seed: int) -> View:
    if name in covered_ids():
        env_id = name
    else:
        task = task_named(name)
        env_id = next(env_id for env_id in covered_ids() if task_for(env_id) is task)
    env = make_env(env_id)
    env.reset(seed=seed)
    return view_of(env)


def _messages(conversation: Conversation) -> list[Message]:
    """The whole conversation, with a placeholder for what the model will have said."""
    return conversation.messages(["(the model's answer)"] * (len(conversation.questions) - 1))


def _shown(conversation: Conversation, folder: Path | None) -> list[str]:
    """Each message, its pictures replaced by file names; the files go into ``folder``."""
    messages = _messages(conversation)
    pngs = {f"{i:02d}.png": png for i, png in enumerate(p for m in messages for p in pictures(m))}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, png in pngs.items():
            (folder / name).write_bytes(png)
    names = iter(pngs)
    lines = []
    for message in messages:
        text = re.sub("<image sha256:[0-9a-f]+>", lambda _: f"<{next(names)}>", plain_text(message))
        lines += [f"--- {message['role']}", text]
    return lines


def _size(conversation: Conversation) -> str:
    """Roughly: four letters a token, and a token for each 32 x 32 pixels, as Qwen-VL counts."""
    messages = _messages(conversation)
    images = [png for message in messages for png in pictures(message)]
    letters = sum(len(plain_text(message)) for message in messages)
    cells = sum(_area(png) for png in images) / 32**2
    return (
        f"{len(messages)} messages, the first {conversation.prefix} the same for every state; "
        f"{len(images)} pictures; about {letters / 4 + cells:.0f} tokens, "
        f"{cells:.0f} of them for pictures"
    )


def _area(png: bytes) -> int:
    """Width times height, from the PNG's header."""
    return int.from_bytes(png[16:20]) * int.from_bytes(png[20:24])


if __name__ == "__main__":
    sys.exit(main())
