"""PPO and A2C with distillation: rollouts, losses, updates, labelled states."""
