"""What goes wrong with a site's data is told on its host alone: error texts reach Flower's router, and quote data."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from simulator.core.errors import InputError, wrong
from simulator.data.sites.site import SiteDataError


@contextmanager
def untold(site: str) -> Iterator[None]:
    """Put an error without any detail in the place of one that may quote the data of ``site``, and print that here.

    Errors about settings, which are about no data, pass as they are.

    Raises:
        InputError: the data cannot be used.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) and not isinstance(error, SiteDataError):
            raise
        print("".join(traceback.format_exception(error)), file=sys.stderr, flush=True)
        what = "its data cannot be used as they are."
        raise wrong(f"site {site}", what, "Type `rumormill site check FOLDER` on its host, which says why.") from None
