"""What an answer depends on, and whether the scene was described right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from lvlm2p.envs import View, make_env, view_of
from lvlm2p.teachers import Answer
from lvlm2p.teachers.evaluation.analysis import judge, score_analyses
from lvlm2p.teachers.evaluation.probes import probe
from lvlm2p.teachers.evaluation.questions import Questioner
from lvlm2p.teachers.evaluation.states import draw_states
from lvlm2p.teachers.expert import ExpertTeacher
from lvlm2p.teachers.label import Label
from tests.support import evaluation as planted
from tests.support.evaluation import ENVS, Planted, peaked


def views(env_id: str, n: int = 40) -> list[View]:
    return [case.view for case in draw_states(env_id, n, seed=0)]


class TestProbes:
    def test_the_planner_is_the_same_under_every_symmetry(self) -> None:
        for env_id in ENVS[1:3]:
            found = probe(Questioner(ExpertTeacher()), None, views(env_id))
            assert found.symmetry is not None
            assert found.symmetry.same.value == 1
            assert found.symmetry.moved.value == pytest.approx(0, abs=1e-12)

    def test_a_teacher_that_reads_from_left_to_right_is_not(self) -> None:
        """It takes what stands first in the state's bytes, which a mirror exchanges."""

        def crooked(view: View, number: float) -> dict[str, float]:
            return peaked(view, view.task.action_names[sum(view.state) * 7 % 3])

        found = probe(Questioner(Planted("crooked", crooked)), None, views(ENVS[1]))
        assert found.symmetry is not None
        assert found.symmetry.same.high < 0.9

    def test_a_task_without_symmetries_is_not_probed_for_them(self) -> None:
        found = probe(Questioner(Planted("good", planted.good)), None, views(ENVS[0]))
        assert found.symmetry is None
        assert found.blank is not None
        assert found.repeat is None

    def test_asked_again_with_a_fresh_sample(self) -> None:
        steady = Planted("good", planted.good)
        found = probe(Questioner(steady), Questioner(steady), views(ENVS[1]))
        assert found.repeat is not None
        assert found.repeat.same.value == 1
        assert found.repeat.moved.value == 0

        def dice(name: str) -> Planted:
            return Planted(name, lambda view, number: peaked(view, "left", 0.2 + 0.6 * number))

        found = probe(Questioner(dice("a")), Questioner(dice("b")), views(ENVS[1]))
        assert found.repeat is not None
        assert found.repeat.moved.low > 0.05

    def test_failures_are_left_out(self) -> None:
        mute = Planted("mute", lambda view, number: None)
        found = probe(Questioner(mute), Questioner(mute), views(ENVS[1]))
        assert found == found.model_copy(update={"blank": None, "symmetry": None, "repeat": None})

    def test_the_teacher_gets_an_empty_picture(self) -> None:
        seen: list[bool] = []

        class Looks(Planted):
            def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
                seen.extend(float(view.image().std()) == 0 for view in views)
                yield from super().ask(views)

        probe(Questioner(Looks("looks", planted.good)), None, views(ENVS[0], 10))
        assert sum(seen) == 10
        assert len(seen) == 20


class TestAnalysis:
    def scene(self) -> tuple[View, dict[str, object]]:
        env = make_env(ENVS[1])
        env.reset(seed=0)
        view = view_of(env)
        assert view.task.ground_truth is not None
        scene = dict(view.task.ground_truth(view))
        scene.pop("targets")
        return view, scene

    def test_the_truth_is_right_in_every_field(self) -> None:
        view, scene = self.scene()
        assert judge(scene, view) == dict.fromkeys(
            ("agent_row", "agent_column", "agent_direction", "ahead", "target"), True
        )

    @pytest.mark.parametrize("field", ["agent_row", "agent_column", "agent_direction", "ahead"])
    def test_one_wrong_field_is_one_wrong_field(self, field: str) -> None:
        view, scene = self.scene()
        value = scene[field]
        wrong = judge({**scene, field: value + 1 if isinstance(value, int) else "teapot"}, view)
        assert [name for name, right in wrong.items() if not right] == [field]

    def test_the_target_is_one_place(self) -> None:
        view, scene = self.scene()
        assert isinstance(scene["target_row"], int)
        assert not judge({**scene, "target_row": scene["target_row"] + 1}, view)["target"]
        assert not judge({}, view)["target"]

    def test_words_are_compared_without_case(self) -> None:
        view, scene = self.scene()
        assert judge({**scene, "ahead": f" {str(scene['ahead']).upper()} "}, view)["ahead"]

    def test_any_of_several_targets_is_right_but_no_mixture(self) -> None:
        for view in views("MiniGrid-Fetch-8x8-N3-v0", 200):
            assert view.task.ground_truth is not None
            targets = view.task.ground_truth(view)["targets"]
            rows = {row for row, _ in targets}
            columns = {column for _, column in targets}
            if len(rows) > 1 and len(columns) > 1:
                break
        else:
            pytest.fail("no state with two targets")
        for row, column in targets:
            assert judge({"target_row": row, "target_column": column}, view)["target"]
        mixed = [(r, c) for r in rows for c in columns if [r, c] not in [list(t) for t in targets]]
        for row, column in mixed:
            assert not judge({"target_row": row, "target_column": column}, view)["target"]

    def test_scores_by_hand(self) -> None:
        """Four answers: two described right (one chosen well), one wrong, one told nothing."""
        four = views(ENVS[1], 4)
        teacher = Planted("sees", planted.good, sees=1.0)
        labels = [label for label in teacher.label(four) if isinstance(label, Label)]
        assert labels[2].analysis is not None
        wrong = {**labels[2].analysis, "agent_row": 99}
        labels[2] = labels[2].model_copy(update={"analysis": wrong})
        labels[3] = labels[3].model_copy(update={"analysis": None})
        scores = score_analyses(labels, four, [1.0, 0.0, 1.0, 1.0])
        assert scores is not None
        assert scores.n == 3
        assert scores.right.value == pytest.approx(2 / 3)
        assert scores.fields["agent_row"].value == pytest.approx(2 / 3)
        assert scores.fields["target"].value == 1
        assert scores.top1_given_right is not None
        assert scores.top1_given_wrong is not None
        assert scores.top1_given_right.value == 0.5
        assert scores.top1_given_wrong.value == 1
        blind = [label.model_copy(update={"analysis": None}) for label in labels]
        assert score_analyses(blind, four, [1.0] * 4) is None

    def test_a_teacher_that_sees_half_is_measured_at_half(self) -> None:
        many = views(ENVS[1], 150)
        teacher = Planted("half", planted.good, sees=0.5)
        labels = [label for label in teacher.label(many) if isinstance(label, Label)]
        scores = score_analyses(labels, many, None)
        assert scores is not None
        assert scores.right.low <= 0.5 <= scores.right.high
        assert scores.top1_given_right is None
