"""PPO in one file, after CleanRL's ppo.py, with a teacher: the lines that are new say so.

    python examples/cleanrl_ppo.py --teacher expert --total-timesteps 20000 --seed 1

Loss = policy + vf_coef * value - ent_coef * entropy + kl_coef * KL(teacher || student). A state is
asked about when it is first met, in a thread, and all answers are in before the update. A state
without a label counts for nothing.
"""

import random
import time
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from gymnasium.wrappers import FilterObservation, FlattenObservation
from torch import Tensor, nn

from lvlm2p.envs import make_env, view_of
from lvlm2p.teachers import Label, LabelStore, Prefetcher, load_teacher


@dataclass
class Args:
    env_id: str = "MiniGrid-LavaGapS5-v0"
    teacher: str = "expert"  # new: none learns from rewards alone
    kl_coef: float = 1.0  # new
    kl_minibatches: int = 64  # new: on all states labelled so far, after each update
    seed: int = 1
    total_timesteps: int = 20_000
    learning_rate: float = 1e-3
    num_envs: int = 8
    num_steps: int = 128
    gamma: float = 0.99
    gae_lambda: float = 0.95
    num_minibatches: int = 4
    update_epochs: int = 4
    clip_coef: float = 0.2
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5


def layer_init(layer: nn.Linear, std: float = 2**0.5) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, std)
    nn.init.zeros_(layer.bias)
    return layer


class Agent(nn.Module):
    def __init__(self, observation: int, actions: int) -> None:
        super().__init__()

        def tower(outputs: int, std: float) -> nn.Sequential:
            first, second = layer_init(nn.Linear(observation, 64)), layer_init(nn.Linear(64, 64))
            last = layer_init(nn.Linear(64, outputs), std)
            return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), last)

        self.actor, self.critic = tower(actions, 0.01), tower(1, 1.0)

    def policy(self, x: Tensor) -> torch.distributions.Categorical:
        return torch.distributions.Categorical(logits=self.actor(x))

    def value(self, x: Tensor) -> Tensor:
        value: Tensor = self.critic(x).squeeze(-1)
        return value


def make(env_id: str) -> gym.Env[Any, Any]:
    env = FlattenObservation(FilterObservation(make_env(env_id), ["image"]))
    return gym.wrappers.RecordEpisodeStatistics(env)


def targets_of(labels: list[Any], actions: int) -> tuple[Tensor, Tensor]:
    """New: the best actions of each label (n, actions), and whether there is a label (n,). The
    actions that a teacher knows are LavaGap's first ones."""
    target = torch.zeros(len(labels), actions)
    for row, label in enumerate(labels):
        if isinstance(label, Label):
            p = torch.tensor(list(label.probabilities.values()))
            target[row, : len(p)] = (p == p.max()).float()
    return target / target.sum(1, keepdim=True).clamp(min=1), target.sum(1) > 0


def kl(target: Tensor, labelled: Tensor, policy: torch.distributions.Categorical) -> Tensor:
    """New: KL(target || policy), averaged over what is labelled."""
    logits: Tensor = policy.logits
    divergence = (torch.xlogy(target, target) - target * logits).sum(1)
    return (divergence * labelled).sum() / labelled.sum().clamp(min=1)


def advantages(rewards: Tensor, values: Tensor, dones: Tensor, last: Tensor, args: Args) -> Tensor:
    """Generalised advantage estimation; ``dones[t]``: the step after t begins an episode."""
    result = torch.zeros_like(rewards)
    running: Tensor = torch.zeros_like(last)
    for t in reversed(range(len(rewards))):
        following = values[t + 1] if t + 1 < len(rewards) else last
        delta = rewards[t] + args.gamma * following * (1 - dones[t]) - values[t]
        running = delta + args.gamma * args.gae_lambda * (1 - dones[t]) * running
        result[t] = running
    return result


def train(args: Args) -> list[tuple[int, float]]:
    """The return of each episode and the frame at which it ended."""
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    envs = gym.vector.SyncVectorEnv(
        [lambda: make(args.env_id)] * args.num_envs,
        autoreset_mode=gym.vector.AutoresetMode.SAME_STEP,
    )
    n_actions = int(envs.single_action_space.n)  # type: ignore[attr-defined] # a Discrete
    agent = Agent(int(np.prod(envs.single_observation_space.shape or ())), n_actions)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    ahead = known = None
    if args.teacher != "none":  # new
        ahead, known = Prefetcher(load_teacher(args.teacher, store=LabelStore())), dict[str, Any]()
    returns: list[tuple[int, float]] = []
    seen = torch.tensor(envs.reset(seed=args.seed)[0], dtype=torch.float32)
    batch = args.num_envs * args.num_steps
    for update in range(args.total_timesteps // batch):
        steps, keys = [], list[str]()
        for step in range(args.num_steps):
            if ahead is not None and known is not None:  # new: three lines, and nobody waits
                keys += (now := ahead.submit([view_of(env) for env in envs.envs]))
                known |= zip(now, seen, strict=True)
            with torch.no_grad():
                policy, value = agent.policy(seen), agent.value(seen)
            action = policy.sample()
            after, reward, terminated, truncated, infos = envs.step(action.numpy())
            done = torch.tensor(terminated | truncated, dtype=torch.float32)
            rewarded = torch.tensor(reward, dtype=torch.float32)
            steps.append((seen, action, policy.log_prob(action), value, rewarded, done))
            seen = torch.tensor(after, dtype=torch.float32)
            if "final_info" in infos:
                ended = infos["final_info"]["episode"]
                frame = update * batch + (step + 1) * args.num_envs
                returns += [(frame, float(ended["r"][i])) for i in np.flatnonzero(done)]
        obs, actions, log_probs, values, rewards, dones = map(torch.stack, zip(*steps, strict=True))
        with torch.no_grad():
            gains = advantages(rewards, values, dones, agent.value(seen), args)
        rollout = [x.flatten(0, 1) for x in (obs, actions, log_probs, gains, gains + values)]
        if ahead is not None and known is not None:  # new: all answers are in after this
            ahead.wait()
            rollout += targets_of([ahead.answers[key] for key in keys], n_actions)
        for _ in range(args.update_epochs):
            for rows in torch.randperm(batch).chunk(args.num_minibatches):
                x, taken, old, gain, goal, *told = (column[rows] for column in rollout)
                policy = agent.policy(x)
                ratio = (policy.log_prob(taken) - old).exp()
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
                loss = -torch.min(ratio * gain, clipped * gain).mean()
                loss += args.vf_coef * 0.5 * (agent.value(x) - goal).square().mean()
                loss -= args.ent_coef * policy.entropy().mean()
                if told:  # new
                    loss += args.kl_coef * kl(told[0], told[1], policy)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                optimizer.step()
        if ahead is not None and known is not None:  # new: labels are free to reuse
            shown = torch.stack([known[key] for key in ahead.answers])
            target, labelled = targets_of(list(ahead.answers.values()), n_actions)
            for rows in torch.randint(len(shown), (args.kl_minibatches, 256)):
                loss = args.kl_coef * kl(target[rows], labelled[rows], agent.policy(shown[rows]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    if ahead is not None:
        ahead.close()
    envs.close()
    return returns


if __name__ == "__main__":
    began = time.time()
    result = train(tyro.cli(Args))
    last = [total for _, total in result[-100:]]
    print(f"return {np.mean(last):.3f} over the last 100 episodes, {time.time() - began:.0f} s")
