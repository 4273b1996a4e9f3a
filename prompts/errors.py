"""What can be wrong with a prompt that a user wrote or chose."""

from __future__ import annotations

from lvlm2p.envs.errors import UserError


class PromptError(UserError):
    """A prompt folder, an example or a number of shots that can't be used."""
