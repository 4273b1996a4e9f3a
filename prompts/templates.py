"""The texts of one prompt as Jinja templates, with the sources that were used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import jinja2.sandbox

from lvlm2p.envs.untrusted import MalformedDataError, read_text, shorten
from lvlm2p.prompts.errors import PromptError

MAX_TEXT_BYTES = 2**20
"""Of one file of a prompt."""

PICTURE = "\x00picture\x00"
"""What ``{{ picture }}`` renders to: the place in a text where the picture goes."""


class Templates:
    """Templates found in the first of ``folders`` that has them; rendering is thread-safe.

    They run in Jinja's sandbox, since a prompt folder may come from anyone, and a name that does
    not exist is an error, so that a typo never turns into a hole in the question. A text of
    ``given`` takes the place of a file of that name.

    Attributes:
        sources: the text of every file used, includes and all, by name.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        names: Sequence[str],
        context: Mapping[str, Any],
        optional: Sequence[str] = (),
        given: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,  # an included file then reads as if it stood there
        )
        self._environment.globals.update(context)
        self._folders = list(folders)
        self._given = dict(given or {})
        self.sources: dict[str, str] = {}
        for name in [*names, *filter(self._find, optional)]:
            self._collect(name)
        self._environment.loader = jinja2.DictLoader(self.sources)

    def render(self, name: str, context: Mapping[str, Any] | None = None) -> str:
        """The text of ``name``, without its last newline.

        Raises:
            PromptError: the template is broken or uses something that does not exist.
        """
        try:
            text = self._environment.get_template(name).render(context or {})
        except Exception as error:  # a template computes, and so can fail, like any program
            raise PromptError(f"{self._where(name)}: {_said(error)}") from error
        return text.removesuffix("\n")

    def _find(self, name: str) -> Path | None:
        paths = (folder / name for folder in self._folders)
        return next((path for path in paths if path.is_file()), None)

    def _source(self, name: str) -> str:
        if name in self._given:
            return self._given[name]
        path = self._find(name)
        if path is None:
            raise PromptError(f"the prompt in {self._folders[0]} lacks the file {name}")
        return read_text(path, MAX_TEXT_BYTES)

    def _collect(self, name: str) -> None:
        """Read ``name`` and, after it, every file that it includes."""
        if name in self.sources:
            return
        try:
            self.sources[name] = self._source(name)
            tree = self._environment.parse(self.sources[name])
            names = list(jinja2.meta.find_referenced_templates(tree))
        except (OSError, MalformedDataError, RecursionError, jinja2.TemplateError) as error:
            raise PromptError(f"{self._where(name)}: {_said(error)}") from error
        for included in names:
            if included is None:
                where = self._where(name)
                raise PromptError(f"{where}: the name of an included file must be written out")
            self._collect(included)

    def _where(self, name: str) -> str:
        """The file behind ``name``, for messages."""
        return name if name in self._given else str(self._find(name) or name)


def _said(error: Exception) -> str:
    """What is wrong with a template, on one line."""
    if isinstance(error, RecursionError):
        return "it includes itself, or is nested too deeply"
    said = shorten(" ".join(str(error).split()))
    known = isinstance(error, OSError | MalformedDataError | jinja2.TemplateError)
    return said if known else f"can't be rendered: {type(error).__name__}: {said}"
