"""Recipes: named settings of a student, one YAML file each in ``recipes/``; any flag goes on top.

A file holds options of ``lvlm2p train`` and, under ``ppo`` and ``a2c``, those that are for one
algorithm alone; under ``lstm``, which comes last, those for a student with memory. ``about`` is a
line for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lvlm2p.envs.errors import UnknownNameError
from lvlm2p.envs.untrusted import MalformedDataError, first_problem, read_yaml, shorten
from lvlm2p.teachers.errors import ConfigError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

FOLDER = Path(__file__).parent / "recipes"

DEFAULT, ALONE_IN_GRIDS, ALONE = "fast", "tuned-none", "classic"
"""With a teacher; without one in rooms of cells, and elsewhere."""

ROOMS = ("MiniGrid-", "BabyAI-", "LVLM2P-")
"""How the ids of rooms of cells begin."""

SECTIONS = {"ppo": "algo", "a2c": "algo", "lstm": "memory"}
"""Sections of a recipe, and the option whose value makes one count; the later goes on top."""


def recipe_names() -> list[str]:
    """The recipes that are shipped, the default first."""
    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    return sorted(names, key=lambda name: name != DEFAULT)


def recipe_help() -> str:
    """What ``--help`` says of ``--recipe``."""
    names = ", ".join(recipe_names())
    default = f"None: {DEFAULT}; with --teacher none {ALONE_IN_GRIDS} in MiniGrid's rooms, else"
    return f"Named settings below all flags: {names}; or a YAML file. {default} {ALONE}."


def default_recipe(env: str, teacher: str | None) -> str:
    """The recipe where none is named."""
    if teacher != "none":
        return DEFAULT
    return ALONE_IN_GRIDS if env.rpartition(":")[2].startswith(ROOMS) else ALONE


def recipe_values(
    recipe: str, given: Mapping[str, Any], options: Mapping[str, FieldInfo]
) -> dict[str, Any]:
    """What ``recipe``, a name or a YAML file, sets under other options.

    Args:
        given: the other options, which say what algorithm and memory it is for.
        options: those that a recipe may set, by name.

    Raises:
        UnknownNameError: no such recipe, or a key that is no such option.
        ConfigError: the file can't be read, or a value is not what the option takes.
    """
    path = _path_of(recipe)
    whole = _mapping(_read(path), f"recipe {recipe}")
    whole.pop("about", None)
    sections = {name: _mapping(whole.pop(name, {}), f"{name} in {path}") for name in SECTIONS}
    for key in [*whole, *(key for section in sections.values() for key in section)]:
        if key not in options:
            raise UnknownNameError(f"option in recipe {recipe}:", str(key), options)
    values = dict(whole)
    for name, option in SECTIONS.items():
        chosen = given.get(option) or whole.get(option) or options[option].default
        if chosen == name:
            values |= sections[name]
    return {key: _checked(key, value, options[key], path) for key, value in values.items()}


def _path_of(recipe: str) -> Path:
    """Where a recipe is: a name has neither a folder nor a suffix."""
    if "/" in recipe or recipe.endswith((".yaml", ".yml")):
        return Path(recipe)
    if recipe not in recipe_names():
        raise UnknownNameError("recipe", recipe, recipe_names(), "Or name a YAML file.")
    return FOLDER / f"{recipe}.yaml"


def _read(path: Path) -> Any:
    try:
        return read_yaml(path)
    except OSError as error:
        raise ConfigError(f"recipe {path} can't be read: {error.strerror}") from None
    except MalformedDataError as error:
        raise ConfigError(f"recipe {path} can't be read: {error}") from None


def _mapping(value: Any, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{what} must hold one 'key: value' a line, not {shorten(repr(value))}")
    return dict(value)


def _checked(key: str, value: Any, field: FieldInfo, path: Path) -> Any:
    """``value`` as the option's own type."""
    from pydantic import TypeAdapter, ValidationError

    kind: Any = (
        Annotated[(field.annotation, *field.metadata)] if field.metadata else (field.annotation)
    )
    try:
        return TypeAdapter(kind).validate_python(value, strict=isinstance(value, bool) or None)
    except ValidationError as error:
        raise ConfigError(f"{key} in {path}: {first_problem(error)}") from None


def options_for_recipes(
    groups: Mapping[str, Iterable[str]], fields: Mapping[str, FieldInfo]
) -> dict[str, FieldInfo]:
    """The options that say how a student learns: no folders, budgets, seeds or environments."""
    named = [*groups["student"], *groups["distillation"], "teacher", "ask", "symmetry"]
    others = ("eval_every", "eval_episodes")
    return {name: fields[name] for name in [*named, *others] if name not in ("recipe", "device")}
