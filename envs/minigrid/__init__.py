"""MiniGrid: states as bytes, the four tasks, pictures, planners, fast stepping."""
