"""The options that the DoorKey tasks offer: read, carried out one after another, pursued."""

from __future__ import annotations

import pytest

from lvlm2p.envs import Option, Planning, UserError, View, make_env, task_named, view_of
from lvlm2p.envs.doorkey.tasks import COLORED, FAMILIES, SIMPLE
from lvlm2p.envs.minigrid.state import Snapshot
from lvlm2p.envs.task import Task
from tests.envs.doorkey.rooms import room

EXPLORE = Option("explore")
GO, TAKE = Option("go to", "key"), Option("pick up", "key")


def planning_of(task: Task) -> Planning[View]:
    assert task.planning is not None
    return task.planning


def seen(state: Snapshot, task: Task = SIMPLE) -> View:
    return View(task, state.encode(), "open the door")


def does(plan: list[Option], state: Snapshot, executor: str = "careful") -> str | None:
    step = planning_of(SIMPLE).next_step(seen(state), plan, executor)
    return None if step is None else f"{step.option}: {step.action}"


def test_the_first_option_that_can_be_executed_gives_the_action() -> None:
    beyond_lava = room("######\n#>~.b#\n######")
    assert does([GO, TAKE], beyond_lava) is None
    assert does([GO, TAKE], beyond_lava, "blind") == "go to <key>: forward"
    assert does([TAKE, GO], beyond_lava, "blind") == "pick up <key>: pickup"
    assert does([Option("go to", "door"), GO], beyond_lava, "blind") == "go to <key>: forward"
    plan = [GO, TAKE, EXPLORE]
    assert does(plan, room("######\n#>..b#\n######")) == "go to <key>: forward"
    assert does(plan, room("######\n#..>b#\n######")) == "pick up <key>: pickup"
    assert does(plan, room("#######\n#.>... \n#######", "b")) == "explore: forward"
    assert does([], room("######\n#>..b#\n######"), "blind") is None


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("explore", EXPLORE),
        (" Go to  <color1 key>", Option("go to", "color1 key")),
        ("pick up the key.", Option("pick up", "key")),
        ("`open <door2>`", Option("open", "door2")),
        ("go to door", Option("go to", "door")),
    ],
)
def test_options_are_read(text: str, option: Option) -> None:
    assert planning_of(SIMPLE).parse(text) == option
    assert planning_of(SIMPLE).parse(str(option)) == option


@pytest.mark.parametrize(
    "text", ["", "explore north", "go to", "use <key>", "go to <>", "goto key"]
)
def test_what_is_no_option_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no option: there are explore, go to <object>"):
        planning_of(SIMPLE).parse(text)


def test_an_executor_that_there_is_not_is_refused() -> None:
    planning_of(SIMPLE).check_executor("blind")
    with pytest.raises(UserError, match="'bold': choose careful or blind"):
        planning_of(SIMPLE).check_executor("bold")


@pytest.mark.parametrize(
    ("drawn", "carried", "pursued"),
    [
        ("####\n#> \n#.  ", "", {"explore"}),
        ("#####\n#>b \n#..  ", "", {"go to <color1 key>", "pick up <color1 key>"}),
        # one of two keys fits: the way to the door leads by it
        ("#####\n#>.b#\n#.r.R\n#####", "", {"go to <color1 key>", "pick up <color1 key>"}),
        ("#####\n#>..#\n#...B\n#####", "b", {"go to <color1 door>", "open <color1 door>"}),
        ("#####\n#>.b#\n#...B\n#####", "r", {"drop <color2 key>"}),
        ("#####\n#>..#\n#...B\n#####", "r", {"explore"}),  # the wrong key, and no other in sight
    ],
)
def test_what_the_explorer_pursues(drawn: str, carried: str, pursued: set[str]) -> None:
    found = planning_of(COLORED).pursued
    assert found is not None
    options = {str(option) for option in found(seen(room(drawn, carried), COLORED))}
    assert options == pursued


@pytest.mark.parametrize("task", FAMILIES, ids=lambda task: task.name)
def test_the_explorer_does_what_the_options_that_it_pursues_would(task: Task) -> None:
    """In most states; a key in the way is first carried aside, by options that no plan names."""
    planning = planning_of(task)
    assert planning.pursued is not None
    env = make_env(task.env_ids[0])
    same = total = 0
    for seed in range(2):
        env.reset(seed=seed)
        over = False
        while not over and total < 400:
            view = view_of(env)
            optimal = task.plan(view).actions
            plan = sorted(planning.pursued(view), key=str)
            assert all(option.thing in (None, *planning.things(view)) for option in plan)
            step = planning.next_step(view, plan, "careful")
            same += step is not None and step.action in optimal
            total += 1
            action = task.action_named(min(optimal))
            _, _, terminated, truncated, _ = env.step(action.index)
            over = terminated or truncated
    assert same >= 0.95 * total, (same, total)


def test_planning_is_that_of_the_task_by_name() -> None:
    assert planning_of(task_named("diverged-door-key")).idle == "done"
