"""What a page says, apart from the scripts that it brings along."""

import json
import re

from simulator.results import assets

ELEMENT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)


def split(html):
    """A page without its scripts, and the charts that it holds as data; it has no scripts but ours."""
    found = ELEMENT.findall(html)
    assert [text for attributes, text in found if not attributes] == list(assets.inline().scripts)
    assert {attributes for attributes, _ in found} <= {"", ' type="application/json"'}
    return ELEMENT.sub("", html), [json.loads(text) for attributes, text in found if attributes]


def page(html):
    """A page without its scripts."""
    return split(html)[0]
