"""Schemas of what is chosen by name: parts with settings of their own, graphs and schedules with their options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any, get_type_hints

from pydantic import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, TypeAdapter

from simulator.config.editor.descriptions import about, about_each
from simulator.config.editor.generator import Json, settings_schema
from simulator.core.registry import Part, Registry

OWN_CLASS = {"type": "string", "pattern": ":", "description": "A class of your own: my_file.py:Class."}


def part(registry: Registry[Any], definitions: dict[str, Json]) -> Json:
    """A part of one kind: its name alone, or a block with the name and the settings of that part.

    Args:
        registry: of the parts.
        definitions: the schema of each part is added here.

    Raises:
        InputError: a part cannot be imported.
    """
    loaded = {name: registry.load(name) for name in registry.names()}
    for name, each in loaded.items():
        definitions[_key(registry, name)] = _block(name, each, definitions, f"{_key(registry, name)}.")
    known = [{"const": name, "description": about(each.__doc__)} for name, each in loaded.items()]
    named = {"anyOf": [*known, OWN_CLASS]}
    return {
        "anyOf": [
            named,
            {
                "type": "object",
                "required": ["name"],
                "properties": {"name": named},
                "allOf": [_where("name", name, {"$ref": f"#/$defs/{_key(registry, name)}"}) for name in loaded],
            },
        ]
    }


def _block(name: str, part: type[Part], definitions: dict[str, Json], prefix: str) -> Json:
    block = settings_schema(part.Config, definitions, prefix)
    block["properties"]["name"] = {"const": name}
    block["required"] = ["name", *(each for each in block.get("required", ()) if each != "name")]
    block["description"] = "\n\n".join(filter(None, (about(part.__doc__), block["description"])))
    return block


def with_options(block: Json, setting: str, table: Mapping[str, Callable[..., Any]], given: tuple[str, ...]) -> None:
    """Let ``block`` hold, beside its own settings, the options of that function in ``table`` that ``setting`` names.

    Args:
        block: schema of the block, which is changed.
        setting: that holds the name.
        table: functions by name.
        given: parameters of the functions that are no options.
    """
    own = block["properties"]
    words = own[setting].get("description", "")
    names = [{"const": name, "description": about(function.__doc__)} for name, function in table.items()]
    own[setting] = {"anyOf": names, "description": words} | {k: v for k, v in own[setting].items() if k == "default"}
    default = own[setting].get("default")
    block.pop("additionalProperties", None)
    block["allOf"] = []
    for name, function in table.items():
        options = {key: value for key, value in _options(function).items() if key not in (*given, *own)}
        allowed = {"properties": {**dict.fromkeys(own, True), **options}, "additionalProperties": False}
        block["allOf"].append(_where(setting, name, allowed, is_default=name == default))


def _options(function: Callable[..., Any]) -> dict[str, Json]:
    words, hints = about_each(function.__doc__, "Args"), get_type_hints(function)
    return {
        name: _of_type(hints[name]) | ({"description": words[name]} if name in words else {})
        for name, parameter in signature(function).parameters.items()
        if name != "seed" and parameter.kind is not Parameter.VAR_KEYWORD
    }


def _of_type(hint: Any) -> Json:
    """Any value where a type stands for more than JSON can say, as that of a graph itself."""
    try:
        return TypeAdapter(hint).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return {}


def _where(setting: str, value: str, then: Json, is_default: bool = False) -> Json:
    required = {} if is_default else {"required": [setting]}
    return {"if": {"properties": {setting: {"const": value}}, **required}, "then": then}


def _key(registry: Registry[Any], name: str) -> str:
    return f"{registry.kind}.{name}"
