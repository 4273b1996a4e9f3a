"""What was labelled before is distilled once more, after each update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvlm2p.student.learn.losses import distillation_loss

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.learn.labels import LabelBuffer
    from lvlm2p.student.learn.learner import Learner, Report
    from lvlm2p.student.learn.optimise import Means
    from lvlm2p.student.learn.replay import Replayed


async def replay(
    learner: Learner,
    labels: LabelBuffer,
    kl_weight: float,
    generator: torch.Generator,
    means: Means,
) -> None:
    """Distil states that were labelled before, once more: labels are paid for and free to reuse.

    As the weight falls from its first value, so does the number of minibatches: an optimiser that
    normalises its steps would not notice a smaller weight.
    """
    config = learner.config
    assert config.kl_minibatches is not None
    share = kl_weight / config.kl_coef if config.kl_coef else 0.0
    batches = round(config.kl_minibatches * share)
    for batch in labels.replay(batches, config.batch_size, generator):
        means.add(await learner.improve(batch, replay_loss, kl_weight, critic=False))


def replay_loss(
    outputs: tuple[Tensor, ...],
    batch: Replayed,
    kl_weight: Tensor | float | None,
    config: TrainConfig,
) -> tuple[Tensor, Report]:
    """The distillation alone, of the actor."""
    assert kl_weight is not None
    (logits,) = outputs
    kl = distillation_loss(logits.log_softmax(-1), batch.targets, batch.weight, config.kl_loss)
    return kl_weight * kl, {"distill/replayed_kl": kl}
