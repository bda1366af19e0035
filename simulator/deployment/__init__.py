"""Experiments on Flower's deployment engine: the apps, the folder of a deployment, and one on this machine."""
