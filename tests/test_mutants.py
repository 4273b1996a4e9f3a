"""The mutants of `make mutants` still say what to break, and the tool still notices."""

from __future__ import annotations

from dataclasses import replace

from tools.mutants import LIST, Mutant, Outcome, load, problems, verdict

MUTANTS = load(LIST)


def test_every_mutant_finds_its_line_and_its_tests() -> None:
    """A line that was changed has its mutant changed with it, or taken out."""
    assert problems(MUTANTS) == []


def test_names_are_unique_and_there_are_enough_of_them() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= 60


def test_what_must_be_caught_is_required() -> None:
    required = {mutant.name for mutant in MUTANTS if mutant.required}
    for algo in ("ppo", "a2c"):
        for fault in ("policy-loss-negated", "entropy-sign-flipped", "value-loss-dropped"):
            assert f"{algo}-{fault}" in required
        assert {f"{algo}-kl-dropped", f"{algo}-lambda-ignored"} <= required
    assert {"replay-kl-dropped", "ppo-advantages-not-normalised"} <= required
    assert {"truncation-bootstrap-0", "argmax-target-uniform"} <= required


def test_a_text_that_is_not_there_once_or_a_test_that_is_gone_is_a_problem() -> None:
    sound = MUTANTS[0]
    assert problems([sound]) == []
    wrong = {
        "0 times": replace(sound, text="no such line"),
        "no Python": replace(sound, becomes="("),
        "there is no nowhere.py": replace(sound, file="nowhere.py"),
        "there is no tests/gone.py": replace(sound, tests=("tests/gone.py::test_it",)),
    }
    for words, mutant in wrong.items():
        (problem,) = problems([mutant])
        assert words in problem and mutant.name in problem


def test_enough_is_nine_in_ten_and_every_required_one() -> None:
    def outcomes(caught: int, survived: int, required: bool = False) -> list[Outcome]:
        mutant = Mutant("m", "f", "a", "b", (), required)
        return [Outcome(mutant, i < caught, "", 0.0) for i in range(caught + survived)]

    assert verdict(outcomes(9, 1))[0] and not verdict(outcomes(8, 2))[0]
    good, summary = verdict([*outcomes(99, 0), *outcomes(0, 1, required=True)])
    assert not good and "required and not caught: m" in summary
