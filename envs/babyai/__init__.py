"""BabyAI: missions in sentences, in the grids of MiniGrid."""
