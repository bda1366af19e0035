"""Which of a node's methods have something to do at a hook of the local steps."""

from __future__ import annotations

from simulator.core.method import Method
from simulator.core.node import Node


def overriding(node: Node, hook: str) -> list[Method]:
    """The node's methods that do something at ``hook``."""
    return [method for method in node.methods if overrides(type(method), hook)]


def overrides(method: type[Method], hook: str) -> bool:
    """Whether ``method`` does something at ``hook``."""
    return getattr(method, hook) is not getattr(Method, hook)


def combines(method: type[Method]) -> bool:
    """Whether ``method`` makes the step's gradient of the gradients of single samples."""
    return overrides(method, "combine_gradients") or overrides(method, "weigh_gradients")


def combining(node: Node) -> Method | None:
    """The node's method that does so; None if there is none."""
    return next((method for method in node.methods if combines(type(method))), None) if node.methods else None
