"""MinAtar's games as ids: `benchmarks.peers.minatar_ids:MinAtar/Breakout-v1`."""

from minatar.gym import register_envs

register_envs()
