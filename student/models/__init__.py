"""From observations to network inputs, and the actor-critic network."""
