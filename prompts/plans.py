"""The answer format of a plan: a list of options, each in words."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from lvlm2p.envs.untrusted import read_text
from lvlm2p.prompts.answer_format import AnswerFormat


class PlanAnswer(BaseModel):
    """What is sent along as the schema, and what an answer is read into first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: list[str] = Field(description="the options to carry out, in order")


def _texts() -> dict[str, str]:
    """The texts that take the place of those which ask for single actions."""
    folder = Path(__file__).parent / "texts" / "plans"
    return {path.name: read_text(path) for path in sorted(folder.glob("*.md"))}


PLANS = AnswerFormat(
    "plans",
    "plans",
    schema=lambda task: PlanAnswer,
    example=lambda shown: '{"plan":["explore"]}',
    correction="a plan in the format asked for",
    texts=_texts(),
)
