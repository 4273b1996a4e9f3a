"""An exact planner for any mission in a MiniGrid that is seen whole."""
