"""Names the formats in which commands print what they find."""

from enum import Enum


class Format(str, Enum):
    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    YAML = "yaml"
    NAME = "name"
