"""The one error of this package, and the check that raises it."""


class TopologyError(ValueError):
    """A topology cannot be built as asked.

    Attributes:
        message: what is wrong and where, a full sentence.
        advice: what to do about it, a full sentence.
        field: the name of the setting at fault ("nodes", "rows", "path", "weights", ...).
    """

    def __init__(self, what: str, advice: str, field: str = "graph") -> None:
        # All three go to Exception.args, so that the error survives pickling between processes.
        super().__init__(what, advice, field)
        self.message = what
        self.advice = advice
        self.field = field

    def __str__(self) -> str:
        return f"{self.message} {self.advice}"


def require(condition: bool, what: str, advice: str, field: str = "graph") -> None:
    """Raise a `TopologyError` with these texts unless `condition` holds."""
    if not condition:
        raise TopologyError(what, advice, field)
