"""lvlm2p: let a large vision-language model teach a small reinforcement-learning agent.

Four packages, each importing only from those before it: :mod:`lvlm2p.envs`, :mod:`lvlm2p.prompts`,
:mod:`lvlm2p.teachers`, :mod:`lvlm2p.student`. Their folders lie at the top of the repository and
are linked into this package, so that a user's own ``envs/`` never hides ours.
"""
