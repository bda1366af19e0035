"""The JSON schema of an experiment file, by which editors complete names, explain settings and mark mistakes."""

from simulator.config.editor.schema import FILE_NAME, experiment_schema, modeline, schema_text, write_schema

__all__ = ["FILE_NAME", "experiment_schema", "modeline", "schema_text", "write_schema"]
