"""Environments outside MiniGrid that are known to work without a line of code."""

CHECKED = (
    "Acrobot-v1",
    "Blackjack-v1",
    "CartPole-v1",
    "CliffWalking-v1",
    "CliffWalkingSlippery-v1",
    "FrozenLake-v1",
    "FrozenLake-v1?is_slippery=false",
    "FrozenLake8x8-v1",
    "FrozenLake8x8-v1?is_slippery=false",
    "LunarLander-v3",
    "MountainCar-v0",
    "Taxi-v4",
    "ALE/Breakout-v5",
    "ALE/Freeway-v5",
    "ALE/Pong-v5",
)
"""A test trains, labels and evaluates in each (LunarLander needs the extra box2d, ALE atari)."""
