"""What many tests are run on: the paper's four tasks, in which the whole grid is seen."""

from __future__ import annotations

from lvlm2p.envs import covered_ids, tasks

WHOLE_GRID_IDS = [env_id for env_id in covered_ids() if env_id.startswith("MiniGrid-")]
"""Their Gymnasium ids, in every size."""

PAPER_TASKS = [task for task in tasks() if task.ground_truth is not None]
"""Those that come with examples."""
