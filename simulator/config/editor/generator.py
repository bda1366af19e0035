"""Schemas of blocks of settings, from their pydantic models and docstrings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import ModelSchema

from simulator.config.editor.descriptions import about, about_each
from simulator.config.experiment import LinkScheduleSettings
from simulator.core.buffers.settings import BufferSettings
from simulator.data.settings import CanarySettings
from simulator.mixers.compression.settings import CompressionSettings

Json = dict[str, Any]

# Blocks that a single value may stand for, and the setting that it then is.
SHORT_FORMS: dict[type[BaseModel], str] = {
    LinkScheduleSettings: "name",
    BufferSettings: "policy",
    CanarySettings: "number",
    CompressionSettings: "name",
}


class _Generator(GenerateJsonSchema):
    """Explains every setting by what the docstring says of it, and knows short forms."""

    def model_schema(self, schema: ModelSchema) -> Json:
        """The schema of one block, with the words of its docstring."""
        block, settings = super().model_schema(schema), schema["cls"]
        block.pop("title", None)
        block["description"] = about(settings.__doc__)
        words = about_each(settings.__doc__)
        for name, setting in block.get("properties", {}).items():
            setting.pop("title", None)
            if name in words:
                setting["description"] = words[name]
        if settings in SHORT_FORMS:
            alone = {
                key: value for key, value in block["properties"][SHORT_FORMS[settings]].items() if key != "default"
            }
            return {"anyOf": [alone, block]}
        return block


def settings_schema(settings: type[BaseModel], definitions: dict[str, Json], prefix: str = "") -> Json:
    """The schema of one block; those of blocks below it are added to ``definitions``, under ``prefix`` and class."""
    reference = f"#/$defs/{prefix}{{model}}"
    block = settings.model_json_schema(ref_template=reference, schema_generator=_Generator)
    definitions.update({f"{prefix}{name}": below for name, below in block.pop("$defs", {}).items()})
    return block
