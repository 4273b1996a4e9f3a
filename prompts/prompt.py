"""A prompt: a folder of texts, bound to a task, a number of examples and a kind of answer.

    prompt.yaml   what it is: image style, default number of shots, when an analysis comes first
    system.md     the system message (optional)
    analysis.md   turn 1 of two: asks for the scene; holds ``{{ picture }}``
    action.md     turn 2 of two: asks for the action
    direct.md     the only turn of one: asks for the action; holds ``{{ picture }}``

The texts are Jinja templates; what they may use is listed in docs/prompts.md. They can include
each other and the files of ``texts/shared``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lvlm2p.envs import ImageStyle, Shown, Task, View
from lvlm2p.envs.errors import UnknownNameError
from lvlm2p.envs.untrusted import MalformedDataError, first_problem, read_yaml
from lvlm2p.prompts.answer_format import AnswerFormat, Elicit, answer_format
from lvlm2p.prompts.conversation import Conversation, Message, Question
from lvlm2p.prompts.errors import PromptError
from lvlm2p.prompts.examples import Example, load_examples
from lvlm2p.prompts.schema import Analysis, analysis_json, letters
from lvlm2p.prompts.templates import Templates
from lvlm2p.prompts.turns import turns_about, words_of

TEXTS = Path(__file__).parent / "texts"


class _Manifest(BaseModel):
    """``prompt.yaml``."""

    model_config = ConfigDict(extra="forbid")

    about: str = ""
    style: ImageStyle
    analysis: list[str] = []
    """The elicitations before whose question the scene is analysed in a turn of its own."""
    shots: int = Field(default=0, ge=0)
    """How many examples are shown unless the user says otherwise."""
    most_shots: int | None = Field(default=None, ge=0)

    @field_validator("style")
    @classmethod
    def _drawable(cls, style: ImageStyle) -> ImageStyle:
        if not 8 <= style.tile <= 256:
            raise ValueError(f"tile is {style.tile}: it must be 8 to 256 pixels")
        return style


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt for one task. Immutable; safe to use from several threads.

    Attributes:
        name: its name or folder, as it was asked for.
        shots: number of examples in the opening, each with one picture.
        style: how pictures are drawn.
        elicit: the name of its answer format.
        questions: what is asked, in order: one, or two where the scene is analysed first.
        opening: system message and examples, built once.
        fingerprint: SHA-256 of every byte that can reach the model, and of the answer schemas.
        shown: whether the model gets the picture, words in its place, or both.
        coordinates: whether the words say where everything is.
    """

    name: str
    task: Task
    elicit: str
    shots: int
    style: ImageStyle
    questions: tuple[Question, ...]
    opening: tuple[Message, ...] = field(repr=False)
    fingerprint: str
    shown: Shown
    coordinates: bool
    _by_letter: bool = field(repr=False)
    _templates: Templates = field(repr=False)

    def conversation(self, view: View) -> Conversation:
        """Ask about ``view``, a view of the prompt's task; its picture is drawn now."""
        if view.task.name != self.task.name:
            raise ValueError(f"a prompt for {self.task.name} asked about {view.task.name}")
        hidden = self.task.draw is None or self.shown == "text"
        png = None if hidden else view.png(self.style)
        words = words_of(view, self.shown, self.coordinates)
        turns = turns_about(self._templates, len(self.questions), view, png, words)
        asked = letters(self.task) if self._by_letter else {}
        return Conversation(self.questions, self.opening, turns, asked)


def prompt_names() -> list[str]:
    """The prompts that come with this package."""
    return sorted(path.parent.name for path in TEXTS.glob("*/prompt.yaml"))


def load_prompt(
    name: str,
    task: Task,
    *,
    shots: int | None = None,
    elicit: Elicit = "stated",
    shown: Shown = "image",
    coordinates: bool = False,
) -> Prompt:
    """The prompt ``name`` (one of ours, or a folder) for ``task``.

    Args:
        shots: how many examples to show; None is the prompt's default, as far as there are any.
        elicit: what the last question asks for: "stated", "choice", "votes", "logprobs", or an
            :class:`AnswerFormat` of one's own.
        shown: the picture ("image"), words in its place ("text"), or both.
        coordinates: whether the words say where everything is.

    Raises:
        UnknownNameError: no prompt and no folder, or no answer format, of this name.
        PromptError: a folder that is no prompt, a broken template or example, too many shots.
    """
    answer = answer_format(elicit)
    folder = _folder(name)
    manifest = _manifest(folder)
    examples = _examples(name, folder, manifest, task, shots)
    # The fields of an analysis mean something where the task can say what the right ones are.
    analysed = answer.elicit in manifest.analysis and task.ground_truth is not None
    last = Question(answer.kind, answer.schema(task))
    questions = (Question("analysis", Analysis), last) if analysed else (last,)
    context = {
        "task": task,
        "actions": _actions(task),
        "elicit": answer.elicit,
        "turns": len(questions),
        "shots": len(examples),
        "style": manifest.style,
    }
    templates = _templates(name, folder, answer, len(questions), context)
    opening = _opening(templates, len(questions), answer, examples, shown, coordinates)
    return Prompt(
        name=name,
        task=task,
        elicit=answer.elicit,
        shots=len(examples),
        style=manifest.style,
        questions=questions,
        opening=opening,
        fingerprint=_fingerprint(
            *(task, answer.elicit, questions, manifest.style, templates.sources, opening),
            {} if shown == "image" else {"shown": shown, "coordinates": coordinates},
        ),
        shown=shown,
        coordinates=coordinates,
        _by_letter=answer.by_letter,
        _templates=templates,
    )


def _folder(name: str) -> Path:
    """Ours where ``name`` is one of ours, else the folder of that path."""
    if name in prompt_names():
        return TEXTS / name
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    raise UnknownNameError("prompt", name, prompt_names(), "A folder of your own works too.")


def _manifest(folder: Path) -> _Manifest:
    path = folder / "prompt.yaml"
    try:
        return _Manifest.model_validate(read_yaml(path) or {})
    except FileNotFoundError:
        raise PromptError(f"{folder} is no prompt: it has no prompt.yaml") from None
    except (OSError, MalformedDataError) as error:
        raise PromptError(f"{path}: can't be read: {error}") from error
    except ValidationError as error:
        raise PromptError(f"{path}: {first_problem(error)}") from error


def _examples(
    name: str, folder: Path, manifest: _Manifest, task: Task, shots: int | None
) -> list[Example]:
    if shots is not None and shots < 0:
        raise PromptError(f"shots is {shots}: it must be 0 or more")
    if shots and manifest.most_shots is not None and shots > manifest.most_shots:
        raise PromptError(f"the prompt {name!r} takes at most {manifest.most_shots} shots")
    wanted = manifest.shots if shots is None else shots
    examples = load_examples(task, manifest.style, wanted, folder) if wanted else []
    if shots is not None and len(examples) < shots:
        raise PromptError(
            f"{shots} shots asked for, but the task {task.name!r} has {len(examples)} examples: "
            f"use --shots {len(examples)} or add examples/{task.name}/ to a prompt of your own"
        )
    return examples


def _templates(
    name: str, folder: Path, answer: AnswerFormat, n_turns: int, context: Mapping[str, Any]
) -> Templates:
    """The texts of the turns; those that the answer format brings along come first."""
    templates = Templates(
        [folder, TEXTS / "shared"],
        ("analysis.md", "action.md") if n_turns == 2 else ("direct.md",),
        context,
        optional=("system.md",),
        given=answer.texts,
    )
    if answer.texts and not answer.texts.keys() & templates.sources.keys():
        raise PromptError(
            f"the prompt {name!r} can't ask for {answer.elicit!r}: "
            f"it includes none of {', '.join(answer.texts)}"
        )
    return templates


def _actions(task: Task) -> list[dict[str, str]]:
    """The task's actions for the templates: letter, name, meaning."""
    return [
        {"letter": letter, "name": action.name, "meaning": action.meaning}
        for letter, action in zip(letters(task), task.actions, strict=True)
    ]


def _opening(
    templates: Templates,
    n_turns: int,
    answer: AnswerFormat,
    examples: list[Example],
    shown: Shown,
    coordinates: bool,
) -> tuple[Message, ...]:
    messages: list[Message] = []
    if "system.md" in templates.sources:
        messages.append({"role": "system", "content": templates.render("system.md")})
    for example in examples:
        hidden = example.view.task.draw is None or shown == "text"
        png = None if hidden else example.png
        words = words_of(example.view, shown, coordinates)
        answers = [analysis_json(example.analysis), answer.example(example)][-n_turns:]
        turns = turns_about(templates, n_turns, example.view, png, words)
        for turn, said in zip(turns, answers, strict=True):
            messages += [turn, {"role": "assistant", "content": said}]
    return tuple(messages)


def _fingerprint(
    task: Task,
    elicit: str,
    questions: tuple[Question, ...],
    style: ImageStyle,
    sources: Mapping[str, str],
    opening: tuple[Message, ...],
    more: Mapping[str, Any],
) -> str:
    return _digest(
        {
            "task": task.name,
            "rules": task.rules,
            "actions": [[action.name, action.meaning] for action in task.actions],
            "elicit": elicit,
            "questions": [
                [question.kind, question.schema and question.schema.model_json_schema()]
                for question in questions
            ],
            "style": asdict(style),
            "texts": dict(sources),
            "opening": opening,
            **more,
        }
    )


def _digest(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
