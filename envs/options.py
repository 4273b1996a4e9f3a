"""How an environment is made: the options that every command which makes one has in common."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MADE = ("env_args", "max_episode_steps")
"""The options below, as the groups of ``--help`` list them."""


class EnvironmentOptions(BaseModel):
    """Arguments of the environment, beside its id in an option ``env``, where there is one."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    env_args: dict[str, Any] = {}
    """Arguments of the environment (of gymnasium.make), such as is_slippery=false; on the command
    line --env-arg key=value, repeated. A run keeps them in the environment's name:
    FrozenLake-v1?is_slippery=false."""

    max_episode_steps: int | None = Field(default=None, ge=1)
    """Steps after which an episode is cut off; None: the environment's own limit, and in an
    evaluation of one that has none 1,000."""

    @model_validator(mode="after")
    def _arguments_into_the_name(self) -> Self:
        env: str | list[str] | None = getattr(self, "env", None)
        if env and (self.env_args or self.max_episode_steps):
            named = [self.named(one) for one in ([env] if isinstance(env, str) else env)]
            self.__dict__["env"] = named[0] if isinstance(env, str) else named
            self.__dict__ |= {"env_args": {}, "max_episode_steps": None}
        return self

    def named(self, env: str) -> str:
        """``env`` with the arguments that were given, which it must take.

        Raises:
            UserError: it does not.
        """
        from lvlm2p.envs.arguments import TIME_LIMIT, typed, with_arguments
        from lvlm2p.envs.registry import task_for

        given = typed(self.env_args)
        if self.max_episode_steps is not None:
            given[TIME_LIMIT] = self.max_episode_steps
        name = with_arguments(env, given)
        task_for(name)
        return name
