"""What one message of Flower's carries: one record of plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flwr.app import ConfigRecord, Message, RecordDict

RECORD = "content"


def packed(content: Mapping[str, Any]) -> RecordDict:
    """Numbers, text and bytes, or lists of one of them, by name."""
    return RecordDict({RECORD: ConfigRecord(dict(content))})


def unpacked(message: Message) -> dict[str, Any]:
    """What `packed` was given."""
    return dict(message.content.config_records[RECORD])
