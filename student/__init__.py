"""The student: rollouts, PPO and A2C with distillation, checkpoints, comparisons, animations.

The student learns from labels and rewards and never knows who answered. Names are imported on
first use, so that reading the configuration does not cost an import of torch.
"""

from lvlm2p.envs.extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
