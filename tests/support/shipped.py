"""What many tests are run on: the paper's four tasks, in which the whole grid is seen."""

from __future__ import annotations

from lvlm2p.envs import covered_ids, task_for, tasks

PAPER_TASKS = [task for task in tasks() if task.ground_truth is not None]
"""Those that come with examples."""

WHOLE_GRID_IDS = [env_id for env_id in covered_ids() if task_for(env_id).ground_truth is not None]
"""Their Gymnasium ids, in every size."""
