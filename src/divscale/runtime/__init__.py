"""Where work runs: the Ray session, pools of warm actors, sizes taken from the machine, row accounting."""
