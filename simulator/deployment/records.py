"""What one message of Flower's carries: one record of plain values, which are what they should be or are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from flwr.app import ConfigRecord, Message, RecordDict

RECORD = "content"
DECLINED = "declined"  # in a greeting's answer: why a node takes no part
NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


class Misshapen(Exception):
    """What a message carries is not what it should be; says so as the end of a sentence that begins with "it"."""


def packed(content: Mapping[str, Any]) -> RecordDict:
    """Numbers, text and bytes, or lists of one of them, by name."""
    return RecordDict({RECORD: ConfigRecord(dict(content))})


def unpacked(message: Message) -> dict[str, Any]:
    """What `packed` was given.

    Raises:
        Misshapen: the message holds no such record.
    """
    try:
        return dict(message.content.config_records[RECORD])
    except (AttributeError, KeyError, TypeError) as error:
        raise Misshapen("holds no record of this app") from error


def whole(content: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """The whole number ``name``, from ``least`` to ``most``.

    Raises:
        Misshapen: there is none.
    """
    value = content.get(name)
    if type(value) is not int or not least <= value <= most:
        raise Misshapen(f"has {_shown(value)} as '{name}', and not a number from {least} to {most}")
    return value


def number(content: Mapping[str, Any], name: str) -> float:
    """The finite number ``name``.

    Raises:
        Misshapen: there is none.
    """
    value: Any = content.get(name)
    if type(value) not in (int, float) or not abs(value) < 1e15:
        raise Misshapen(f"has {_shown(value)} as '{name}', and not a number")
    return float(value)


def nodes(content: Mapping[str, Any], name: str) -> list[int]:
    """The numbers of nodes in the text ``name``, between blanks.

    Raises:
        Misshapen: there is none, or something else is there.
    """
    found = text(content, name).split()
    if not all(map(NUMBER.fullmatch, found)):
        raise Misshapen(f"has {_shown(content[name])} as '{name}', and not numbers of nodes")
    return [int(each) for each in found]


def text(content: Mapping[str, Any], name: str) -> str:
    """The text ``name``.

    Raises:
        Misshapen: there is none.
    """
    value = content.get(name)
    if type(value) is not str:
        raise Misshapen(f"has {_shown(value)} as '{name}', and not a text")
    return value


def day(content: Mapping[str, Any], name: str) -> datetime:
    """The end of the day ``name``, which is written as "2027-03-01".

    Raises:
        Misshapen: there is none.
    """
    given = text(content, name)
    try:
        return datetime.combine(date.fromisoformat(given), time.max, UTC)
    except ValueError as error:
        raise Misshapen(f"has {_shown(given)} as '{name}', and not a day") from error


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:40]
