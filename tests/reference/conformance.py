"""A rule of this house beside the laws of `simulator.testing`: a method or mixer of a paper names it."""

import inspect
import re

from simulator.testing.laws import MODEL

__all__ = ["MODEL", "names_its_paper"]

ARXIV = re.compile(r"arXiv:\d{4}\.\d{4,5}")


def names_its_paper(part: type) -> None:
    """The docstring of the class or of its module gives an arXiv number."""
    texts = (part.__doc__ or "") + (inspect.getmodule(part).__doc__ or "")
    assert ARXIV.search(texts), f"{part.__name__}: name the paper in the docstring, as in arXiv:2102.04761"
