"""Statistics of every training sample over the course of training, at its node."""

from methods.trajectories.method import TrajectoryRecorder

__all__ = ["TrajectoryRecorder"]
