"""The student's network: what a state is worth depends on that state alone; it can be exported."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvlm2p.envs import Observation, ObservationSpace, UserError, VectorEnv
from lvlm2p.student.models.encoder import Encoder
from lvlm2p.student.models.grid import GridFeatures, with_attention
from lvlm2p.student.models.image import ImagePreprocessing
from lvlm2p.student.models.inputs import MISSION_LENGTH, VOCABULARY, Inputs, MissionTable, token_ids
from lvlm2p.student.models.policy import Policy
from lvlm2p.student.models.vector import VectorFeatures, VectorPreprocessing

ACTIONS = 5
MISSIONS = ["get a red key", "go fetch a blue ball", "go to the green door", "get", ""]
SPACES = {
    "grid": ObservationSpace("grid", (5, 5, 3), np.dtype(np.uint8), has_agent=True),
    "flat": ObservationSpace("grid", (4, 3, 3), np.dtype(np.uint8)),
    "image": ObservationSpace("image", (21, 16, 3), np.dtype(np.uint8)),
    "vector": ObservationSpace("vector", (6,), np.dtype(np.float32)),
}
every_space = pytest.mark.parametrize("kind", SPACES)


def observations(space: ObservationSpace, n: int, seed: int = 0) -> Observation:
    """Random ones, with missions of different lengths."""
    rng = np.random.default_rng(seed)
    if space.kind == "vector":
        values = rng.normal(scale=5.0, size=(n, *space.shape)).astype(np.float32)
    else:
        values = rng.integers(256, size=(n, *space.shape)).astype(np.uint8)
    if space.has_agent:
        values[..., 0] %= 10
        values[:, 2, 3] = (10, 0, 1)
    missions = [MISSIONS[i] for i in rng.integers(len(MISSIONS), size=n)]
    return Observation(values, np.zeros((n, 2), np.uint8), missions)


@torch.enable_grad()
def new_policy(
    space: ObservationSpace, memory: Literal["none", "lstm"] = "none", hidden: int = 16
) -> Policy:
    """One that has learned a little: nothing is where it was put at first."""
    torch.manual_seed(0)
    encoder = Encoder(space)
    policy = Policy(space.kind, encoder.shape, ACTIONS, hidden, memory)
    learnable = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learnable, 2e-3)
    for seed in range(5):
        inputs = encoder(observations(space, 32, seed))
        logits, values, _ = policy(inputs.observation, inputs.tokens[inputs.mission])
        optimizer.zero_grad()
        torch.autograd.backward(logits.square().mean() + (values - 1).square().mean())
        optimizer.step()
    return policy


def evaluated(policy: Policy, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Of one step, without memory."""
    frames = torch.zeros(len(inputs.mission), dtype=torch.bool)
    return policy.evaluate(inputs, policy.initial_state(0), frames)


# ---------------------------------------------------------------- what it is told


@every_space
@torch.no_grad()
def test_a_state_is_judged_alike_in_any_company(kind: str) -> None:
    policy, encoder = new_policy(SPACES[kind]), Encoder(SPACES[kind])
    inputs = encoder(observations(SPACES[kind], 40, 99))
    logits, values = evaluated(policy, inputs)
    for i in range(40):
        alone = inputs.take(torch.tensor([i]))
        assert len(alone.tokens) == 1
        one_logits, one_values = evaluated(policy, alone)
        torch.testing.assert_close(one_logits[0], logits[i])
        torch.testing.assert_close(one_values[0], values[i])


@every_space
@torch.no_grad()
def test_acting_is_the_policy_and_reads_new_missions(kind: str) -> None:
    policy, encoder = new_policy(SPACES[kind]), Encoder(SPACES[kind])
    act = policy.acting()
    for seed, n in ((1, 1), (2, 3), (3, 40)):
        inputs = encoder(observations(SPACES[kind], n, seed))
        logits, _ = act(inputs, policy.initial_state(n), torch.ones(n, dtype=torch.bool))
        torch.testing.assert_close(logits, evaluated(policy, inputs)[0])


@every_space
@torch.no_grad()
def test_what_is_seen_and_the_mission_both_matter(kind: str) -> None:
    policy, space = new_policy(SPACES[kind]), SPACES[kind]
    one, other = observations(space, 1, 5), observations(space, 1, 6)
    carrying = np.zeros((1, 2), np.uint8)

    def logits(values: NDArray[Any], mission: str) -> Tensor:
        return evaluated(policy, Encoder(space)(Observation(values, carrying, [mission])))[0]

    first = logits(one.values, "get a red key")
    assert not torch.allclose(first, logits(other.values, "get a red key"))
    assert not torch.allclose(first, logits(one.values, "put it down"))
    assert not torch.allclose(
        logits(one.values, "get a red key"), logits(one.values, "key red a get")
    )


@every_space
@torch.no_grad()
def test_what_is_carried_matters(kind: str) -> None:
    policy, space = new_policy(SPACES[kind]), SPACES[kind]
    seen = observations(space, 2, 7)
    values = np.repeat(seen.values[:1], 2, axis=0)
    carrying = np.array([[0, 0], [5, 3]], np.uint8)
    inputs = Encoder(space)(Observation(values, carrying, ["get a red key"] * 2))
    logits, _ = evaluated(policy, inputs)
    assert not torch.allclose(logits[0], logits[1])


@every_space
def test_what_the_actor_learns_does_not_move_the_critic(kind: str) -> None:
    policy, encoder = new_policy(SPACES[kind]), Encoder(SPACES[kind])
    inputs = encoder(observations(SPACES[kind], 8))
    policy.zero_grad()
    frames = torch.zeros(8, dtype=torch.bool)
    logits = policy.logits(inputs, policy.initial_state(0), frames)
    torch.autograd.backward(logits.square().mean())
    moved = {name.split(".")[0] for name, p in policy.named_parameters() if p.grad is not None}
    assert moved == {"actor", "policy_head"}


def test_mission_similarity_is_the_dot_product_of_cell_and_mission() -> None:
    policy = new_policy(SPACES["grid"])
    features = policy.actor.features
    assert isinstance(features, GridFeatures)
    missions = features.mission(torch.tensor([token_ids("go to the red door")]))
    with torch.no_grad():
        features.kind_embedding.zero_()
    table = features.mission_similarity(missions)[0]
    symbols = features.symbol_embedding
    red_door_open = 4 << 5 | 0 << 2 | 0  # object 4, colour 0, state 0
    cell = 20.0 * (symbols[4] + symbols[16 + 0] + symbols[24 + 0])
    torch.testing.assert_close(table[red_door_open], missions[0] @ cell)
    with torch.no_grad():  # what red doors have beside what is red and what are doors
        features.kind_embedding[red_door_open] = 0.5
    more = features.mission_similarity(missions)[0] - table
    torch.testing.assert_close(more[red_door_open], 20.0 * 0.5 * missions.sum())
    assert more.count_nonzero() == 1


@pytest.mark.parametrize("memory", ["none", "lstm"])
@torch.no_grad()
def test_one_step_and_many_give_the_same_logits_and_values(
    memory: Literal["none", "lstm"],
) -> None:
    """Actor and critic each by its own layers, and from its own half of the state."""
    policy, encoder = new_policy(SPACES["vector"], memory), Encoder(SPACES["vector"])
    inputs = encoder(observations(SPACES["vector"], 6))
    state = torch.randn(policy.initial_state(6).shape)
    start = torch.tensor([True, False, False, True, False, False])
    logits, values, _ = policy(inputs.observation, inputs.tokens[inputs.mission], state, start)
    steps = Inputs(inputs.observation[None], inputs.mission[None], inputs.tokens)
    many = policy.evaluate(steps, state, start[None])
    torch.testing.assert_close(many[0][0], logits)
    torch.testing.assert_close(many[1][0], values)
    torch.testing.assert_close(policy.logits(steps, state, start[None])[0], logits)
    torch.testing.assert_close(policy.values(steps, state, start[None])[0], values)


@torch.no_grad()
def test_what_is_fixed_in_a_grids_network() -> None:
    """Two cells that differ in colour alone differ by as much wherever they are, and for good."""
    policy = new_policy(SPACES["grid"])
    fixed = {name: p for name, p in policy.named_parameters() if not p.requires_grad}
    assert fixed.keys() == {"preprocessing.cell_embedding.weight"}
    (cells,) = fixed.values()

    def kind(thing: int, colour: int) -> int:
        return thing << 5 | colour << 2

    torch.testing.assert_close(
        cells[kind(5, 1)] - cells[kind(5, 0)], cells[kind(6, 1)] - cells[kind(6, 0)]
    )


@torch.no_grad()
def test_similarity_to_the_mission_is_seen() -> None:
    """By making it 0: the cells' own numbers are still there, and the logits are others."""
    policy, space = new_policy(SPACES["grid"]), SPACES["grid"]
    inputs = Encoder(space)(observations(space, 4))
    before = evaluated(policy, inputs)[0]
    features = policy.actor.features
    assert isinstance(features, GridFeatures)
    features.from_similarity.weight.zero_()
    assert not torch.allclose(before, evaluated(policy, inputs)[0])


def test_large_numbers_of_a_vector_are_made_small() -> None:
    numbers = torch.tensor([[0.0, math.e - 1, 1 - math.e**2]])
    seen = VectorPreprocessing((6,))(numbers, torch.zeros(1))
    torch.testing.assert_close(seen, torch.tensor([[0.0, 1.0, -2.0]]))


def test_attention_is_added_to_similarity() -> None:
    """By hand: exp(.0) : exp(10 ln 3 / 10) is 1 : 3, and 30 are shared."""
    similarity = torch.tensor([[0.0, 10.0 * math.log(3.0)], [7.0, 7.0]])
    expected = [[7.5, 10.0 * math.log(3.0) + 22.5], [22.0, 22.0]]
    torch.testing.assert_close(with_attention(similarity), torch.tensor(expected))


# ---------------------------------------------------------------- leaving the process


@pytest.mark.parametrize(
    ("kind", "memory"), [("grid", "none"), ("image", "lstm"), ("vector", "none")]
)
@torch.no_grad()
def test_it_can_be_exported_traced_and_compiled(kind: str, memory: Literal["none", "lstm"]) -> None:
    policy, encoder = new_policy(SPACES[kind], memory).eval(), Encoder(SPACES[kind])
    inputs = encoder(observations(SPACES[kind], 7))
    state = torch.randn(policy.initial_state(7).shape)
    start = torch.tensor([True, False, False, True, False, False, False])
    tokens = inputs.tokens[inputs.mission]
    arguments = (inputs.observation, tokens, state, start)
    expected = policy(*arguments)
    batch = torch.export.Dim("batch", min=2)
    exported = torch.export.export(
        policy, arguments, dynamic_shapes=({0: batch}, {0: batch}, {0: batch}, {0: batch})
    )
    saved = io.BytesIO()
    torch.export.save(exported, saved)
    saved.seek(0)
    loaded = torch.export.load(saved).module()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript as a whole
        traced = torch.jit.trace(policy, arguments, check_trace=False)  # type: ignore[no-untyped-call]
    compiled = torch.compile(policy, backend="eager")
    for other in (loaded, traced, compiled):
        for got, wanted in zip(other(*arguments), expected, strict=True):
            torch.testing.assert_close(got, wanted)
    fewer = tuple(argument[:3] for argument in arguments)
    for got, wanted in zip(loaded(*fewer), policy(*fewer), strict=True):
        torch.testing.assert_close(got, wanted)


# ---------------------------------------------------------------- what it reads


def test_token_ids_fit_the_vocabulary_and_punctuation_is_no_word() -> None:
    for mission in MISSIONS:
        assert all(0 < token < VOCABULARY for token in token_ids(mission))
    assert token_ids("Go to, the_red DOOR!") == token_ids("go to the red door")
    assert len(token_ids("red " * 50)) == MISSION_LENGTH


def test_a_mission_table_keeps_the_order_of_first_meeting() -> None:
    table = MissionTable()
    assert table.rows(["b c", "a", "b c"]) == [0, 1, 0]
    assert table.rows(["d e f", "a"]) == [2, 1]
    assert table.missions == ["b c", "a", "d e f"]
    expected = [[*token_ids("b c"), 0], [*token_ids("a"), 0, 0], token_ids("d e f")]
    assert table.tokens().tolist() == expected


def test_only_missions_that_occur_are_read() -> None:
    table = MissionTable()
    rows = torch.tensor(table.rows([f"mission {i}" for i in range(20)]))
    inputs = Inputs(torch.arange(20.0).unsqueeze(1), rows, table.tokens())
    some = inputs.take(torch.tensor([[7, 3], [7, 9]]))
    assert some.observation.squeeze(2).tolist() == [[7, 3], [7, 9]]
    assert len(some.tokens) == 3
    assert torch.equal(some.tokens[some.mission], inputs.tokens[torch.tensor([[7, 3], [7, 9]])])


def encoded(rows: Sequence[str], agent: str) -> list[int]:
    """The egocentric view of a grid of digits (colour of a ball), the agent being an arrow."""
    width, height = len(rows[0]), len(rows)
    values = np.zeros((1, width, height, 3), np.uint8)
    for y, row in enumerate(rows):
        for x, sign in enumerate(row):
            values[0, x, y] = (10, 0, ">v<^".index(sign)) if sign in ">v<^" else (6, int(sign), 0)
    space = ObservationSpace("grid", (width, height, 3), np.dtype(np.uint8), has_agent=True)
    carrying = np.array([[5, 2]], np.uint8)
    cells = Encoder(space)(Observation(values, carrying, [""])).observation[0]
    return [int(cell) >> 2 & 7 if cell >> 5 == 6 else -int(cell >> 5) for cell in cells]


@pytest.mark.parametrize(
    ("rows", "seen"),
    [
        (["012", "3^5", "670"], [0, 1, 2, 3, -5, 5, 6, 7, 0]),
        (["012", "3>5", "670"], [2, 5, 0, 1, -5, 7, 0, 3, 6]),
        (["012", "3v5", "670"], [0, 7, 6, 5, -5, 3, 2, 1, 0]),
        (["012", "3<5", "670"], [6, 3, 0, 7, -5, 1, 0, 5, 2]),
    ],
)
def test_a_grid_is_turned_to_how_the_agent_sees_it(rows: list[str], seen: list[int]) -> None:
    """Row by row from what is farthest ahead; what is carried (a key: -5) is where the agent is."""
    assert encoded(rows, "^") == seen


def test_observations_are_checked_and_never_cast() -> None:
    encoder = Encoder(SPACES["vector"])
    nothing = np.zeros((1, 2), np.uint8)
    with pytest.raises(UserError, match="float64 were given to a student of vector"):
        encoder(Observation(np.zeros((1, 6)), nothing, [""]))
    with pytest.raises(UserError, match=r"observations \(7,\)"):
        encoder(Observation(np.zeros((1, 7), np.float32), nothing, [""]))


def test_images_from_8_pixels_to_an_ataris() -> None:
    for height, width, channels in ((8, 8, 1), (9, 30, 3), (84, 84, 4), (210, 160, 3)):
        space = ObservationSpace("image", (height, width, channels), np.dtype(np.uint8))
        policy = Policy("image", space.shape, ACTIONS, 16)
        inputs = Encoder(space)(observations(space, 3))
        assert evaluated(policy, inputs)[0].shape == (3, ACTIONS)
        assert sum(p.numel() for p in policy.parameters()) < 200_000
    small = ObservationSpace("image", (7, 20, 3), np.dtype(np.uint8))
    with pytest.raises(UserError, match="7 x 20 pixels are too small"):
        Encoder(small)


def test_what_is_said_does_not_drown_a_vector() -> None:
    torch.manual_seed(0)
    features = VectorFeatures((6,), 16)
    said = torch.tensor([[3, 0, 0, 0], [3, 3, 3, 3], [0, 0, 0, 0]])
    once, again, nothing = features.read(said).bias
    torch.testing.assert_close(once, again)  # a mean of words, not a sum
    assert not nothing.any() and 0 < once.norm() < 0.2 * features.from_vector.weight[:, 0].norm()


def test_of_a_large_image_averages_are_seen() -> None:
    image = torch.zeros(1, 130, 257, 1, dtype=torch.uint8)
    image[0, 0, 0], image[0, 2, 2], image[0, -1, -1] = 255, 255, 51
    seen = ImagePreprocessing((130, 257, 1))(image, torch.zeros(1))
    assert seen.shape == (1, 1, 44, 86)  # 3 x 3 pixels are one; at the edges, those that there are
    assert seen[0, 0, 0, 0].item() == pytest.approx(2 / 9)
    assert seen[0, 0, -1, -1].item() == pytest.approx(0.2 / 2)
    image = torch.zeros(1, 128, 8, 3, dtype=torch.uint8)
    at_most = ImagePreprocessing((128, 8, 3))(image, torch.zeros(1))
    assert at_most.shape == (1, 3, 128, 8)


def test_a_real_environments_observations_are_read() -> None:
    env = VectorEnv("MiniGrid-GoToDoor-5x5-v0", 3, 0)
    inputs = Encoder(env.space)(env.reset())
    assert inputs.observation.shape == (3, 49) and inputs.observation.dtype == torch.int16
    assert inputs.tokens.shape[1] == len(["go", "to", "the", "red", "door"])
    env.close()
