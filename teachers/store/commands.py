"""The options of `lvlm2p labels ...`. What does the work is imported when it runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tyro
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lvlm2p.teachers.errors import ConfigError

if TYPE_CHECKING:
    from lvlm2p.teachers.labelset.exchange import Exported, Imported
    from lvlm2p.teachers.store.contents import AnswerFilter
    from lvlm2p.teachers.store.prune import Pruned
    from lvlm2p.teachers.store.show import Shown
    from lvlm2p.teachers.store.stats import Stats
    from lvlm2p.teachers.store.store import LabelStore
    from lvlm2p.teachers.store.verify import VerifyReport


class _Command(BaseModel):
    # Of six commands one runs, and --help needs no validator at all: they are built when used.
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, defer_build=True)

    store: Path | None = None
    """Folder of the label store; None: $LVLM2P_STORE, else the user's cache folder."""

    def _open(self, create: bool = False) -> LabelStore:
        """The store; who only looks makes none, so that a mistyped --store is noticed."""
        from lvlm2p.teachers.store.store import LabelStore

        return LabelStore(self.store, create=create)


class _Filtered(_Command):
    teacher: str | None = None
    """Only this teacher's answers."""

    task: str | None = None
    """Only answers about this task, e.g. go-to-door."""

    prompt: str | None = None
    """Only answers to the prompt whose fingerprint begins so."""

    def _filter(self) -> AnswerFilter:
        from lvlm2p.teachers.store.contents import AnswerFilter

        return AnswerFilter(self.teacher, self.task, self.prompt)


class StatsConfig(_Command):
    """What the store holds: labels, failures, dollars, tokens, size."""

    def run(self) -> Stats:
        """Look. A default store that was never used is not a mistake: it holds nothing."""
        from lvlm2p.teachers.store.database import holds_store
        from lvlm2p.teachers.store.stats import Stats, stats
        from lvlm2p.teachers.store.store import default_store_path, store_path

        if self.store is None and not holds_store(store_path(None)):
            return Stats(str(default_store_path()), [], 0)
        with self._open() as store:
            return stats(store)


class ExportConfig(_Filtered):
    """Write labels and failures to a Parquet file, one row each; or a folder for the Hugging Face
    hub."""

    out: tyro.conf.Positional[str] = ""
    """The file to write."""

    hub_folder: Path | None = None
    """In place of a file: a new folder that the Hugging Face hub takes as a dataset, with pictures
    and a card (task, teacher, prompt, accuracy)."""

    licence: str = "unknown"
    """The licence on the card of --hub-folder, as the hub abbreviates it: cc-by-4.0, mit, ..."""

    images: bool = False
    """With the picture of each state, as PNG (about 2 ms and 2 kB a row)."""

    overwrite: bool = False
    """Replace a file that holds answers which the new one would not. Without it: refused."""

    @field_validator("out", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, Path) else value

    @field_validator("licence")
    @classmethod
    def _an_abbreviation(cls, licence: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,40}", licence):
            raise ValueError("write it as the hub does, such as cc-by-4.0, mit or other")
        return licence

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.out) == (self.hub_folder is not None):
            raise ValueError("name a file, or a folder with --hub-folder")
        return self

    def run(self) -> Exported:
        """Write."""
        if self.hub_folder is not None:
            from lvlm2p.teachers.labelset.hub import export_folder

            with self._open() as store:
                wanted, licence = self._filter(), self.licence
                return export_folder(store, self.hub_folder, wanted, licence, self.overwrite)
        from lvlm2p.teachers.labelset.paths import writable_file

        out = writable_file(self.out)
        from lvlm2p.teachers.labelset.exchange import export
        from lvlm2p.teachers.labelset.replacement import check_replaceable
        from lvlm2p.teachers.store.contents import entries

        with self._open() as store:
            if not self.overwrite:
                chosen = entries(store, self._filter())
                check_replaceable(out, ((e.answer.fingerprint, e.view.key) for e in chosen))
            return export(store, out, self._filter(), self.images)


class ImportConfig(_Command):
    """Add the rows of a Parquet file; each is checked, bad ones are reported."""

    file: tyro.conf.Positional[Path]
    """The file to read."""

    def run(self) -> Imported:
        """Read."""
        from lvlm2p.teachers.labelset.exchange import import_file
        from lvlm2p.teachers.labelset.parquet import count_rows

        count_rows(self.file)  # a file that is none is said so before a store is made
        with self._open(create=True) as store:
            return import_file(store, self.file)


class VerifyConfig(_Command):
    """Check every row; repairs nothing without --fix."""

    fix: bool = False
    """Repair what can be, and take out the rest into a file beside the database."""

    def run(self) -> VerifyReport:
        """Look, and repair if wanted."""
        from lvlm2p.teachers.store.verify import verify

        with self._open() as store:
            return verify(store, self.fix)


class PruneConfig(_Filtered):
    """Take answers out by teacher, task, prompt or age; says what it would do first."""

    older_than: float | None = Field(default=None, ge=0, le=36_500)
    """Only answers older than so many days."""

    apply: bool = False
    """Really take them out. Without it nothing is changed."""

    def run(self) -> Pruned:
        """Count, and take out if wanted."""
        from lvlm2p.teachers.store.prune import prune

        criteria: list[Any] = [self.teacher, self.task, self.prompt, self.older_than]
        if all(criterion is None for criterion in criteria):
            raise ConfigError(
                "labels prune needs at least one of --teacher, --task, --prompt and --older-than"
            )
        with self._open() as store:
            return prune(store, self._filter(), self.older_than, self.apply)


class ShowConfig(_Command):
    """Everything known about one state's labels, with its picture."""

    key: tyro.conf.Positional[str]
    """The state's key, or enough of its beginning."""

    teacher: str | None = None
    """Only this teacher's answers."""

    html: Path | None = None
    """Write a page here as well."""

    def run(self) -> Shown:
        """Look it up."""
        from lvlm2p.teachers.store.show import show

        with self._open() as store:
            return show(store, self.key, self.teacher, self.html)
