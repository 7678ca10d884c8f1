"""The part of JSON Schema that the OpenAPI document uses, to check examples against it.

An example is checked, not a message: of an answer that is shown in part, required properties may be left out, and each
property that is shown has to be one that the schema names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_ANNOTATIONS = {"title", "description", "default", "examples", "format", "uniqueItems", "example", "discriminator"}


@dataclass(frozen=True)
class Validator:
    """Finds the errors of an example.

    Args:
        document: The OpenAPI document, whose schemas others refer to.
        partial: Whether required properties may be left out.
    """

    document: Json
    partial: bool = False

    def faults(self, value: Any, schema: Json, place: str = "") -> Iterator[str]:
        """Yield each error of a value, with its JSON pointer."""
        for keyword, given in schema.items():
            if keyword in _ANNOTATIONS:
                continue
            yield from self._check(keyword, given, value, schema, place)

    def _check(self, keyword: str, given: Any, value: Any, schema: Json, place: str) -> Iterator[str]:
        match keyword:
            case "$ref":
                yield from self.faults(value, self._referred(given), place)
            case "type":
                if not isinstance(value, _TYPES[given]) or (isinstance(value, bool) and given != "boolean"):
                    yield f"{place}: {value!r} is no {given}"
            case "oneOf" if "discriminator" in schema and isinstance(value, dict):
                name, mapping = schema["discriminator"]["propertyName"], schema["discriminator"]["mapping"]
                if value.get(name) in mapping:
                    yield from self.faults(value, {"$ref": mapping[value[name]]}, place)
                else:
                    yield f"{place}: {value.get(name)!r} is none of {list(mapping)}"
            case "anyOf" | "oneOf":
                found = [list(self.faults(value, option, place)) for option in given]
                if all(found):
                    yield min(found, key=len)[0]
            case "const":
                if value != given:
                    yield f"{place}: {value!r} is not {given!r}"
            case "enum":
                if value not in given:
                    yield f"{place}: {value!r} is none of {given}"
            case "properties" if isinstance(value, dict):
                yield from self._properties(value, schema, place)
            case "additionalProperties" if isinstance(value, dict) and "properties" not in schema:
                if isinstance(given, dict):
                    for name, one in value.items():
                        yield from self.faults(one, given, f"{place}/{name}")
            case "required" if isinstance(value, dict) and not self.partial:
                yield from (f"{place}: {name} is missing" for name in given if name not in value)
            case "items" if isinstance(value, list):
                for index, one in enumerate(value):
                    yield from self.faults(one, given, f"{place}/{index}")
            case "minimum" | "maximum" | "exclusiveMaximum" if isinstance(value, (int, float)):
                within = {"minimum": value >= given, "maximum": value <= given, "exclusiveMaximum": value < given}
                if not within[keyword]:
                    yield f"{place}: {value!r} is against {keyword} {given}"
            case "minLength" | "maxLength" | "minItems" | "maxItems" if isinstance(value, (str, list)):
                if len(value) < given if keyword.startswith("min") else len(value) > given:
                    yield f"{place}: its length is against {keyword} {given}"
            case "pattern" if isinstance(value, str):
                if not re.search(given, value):
                    yield f"{place}: {value!r} does not match {given}"
            case "properties" | "additionalProperties" | "required" | "items" | "pattern":
                return
            case "minimum" | "maximum" | "exclusiveMaximum" | "minLength" | "maxLength" | "minItems" | "maxItems":
                return
            case _:
                raise NotImplementedError(f"{place}: nothing here checks {keyword}")

    def _properties(self, value: Json, schema: Json, place: str) -> Iterator[str]:
        for name, one in value.items():
            if name in schema["properties"]:
                yield from self.faults(one, schema["properties"][name], f"{place}/{name}")
            else:
                yield f"{place}: {name} is no property of {schema.get('title', 'this object')}"

    def _referred(self, reference: str) -> Json:
        found: Any = self.document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        return found  # type: ignore[no-any-return]
