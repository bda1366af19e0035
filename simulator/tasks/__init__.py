"""What networks are trained for: the tasks that come with the simulator."""
