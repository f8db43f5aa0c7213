"""Checks manifests against the schemas in KServe's and Kubernetes's Python packages: `kserve_manifests.py FILE…`.

The classes there are generated from the published OpenAPI documents: each tells the types of its fields.
"""

import re
import sys

import kserve.models
import kubernetes.client.models
import yaml

PLAIN = {"str": str, "int": int, "bool": bool, "float": float, "object": object}
KINDS = {"ServingRuntime": "V1alpha1ServingRuntime", "InferenceService": "V1beta1InferenceService"}
# Maps of quantities, or ports by number or name: of any scalar.
SCALARS = (str, int, float)


def check(value: object, kind: str, place: str) -> None:
    """Raises `AssertionError` for a field that is unknown or has another type."""
    if listed := re.fullmatch(r"[Ll]ist\[(.*)\]", kind):
        assert isinstance(value, list), f"{place} is no list"
        for index, each in enumerate(value):
            check(each, listed[1], f"{place}[{index}]")
    elif mapped := re.fullmatch(r"[Dd]ict[(\[]str, (.*)[)\]]", kind):
        assert isinstance(value, dict), f"{place} is no map"
        for key, each in value.items():
            check(each, mapped[1], f"{place}.{key}")
    elif kind in PLAIN:
        assert isinstance(value, PLAIN[kind]), f"{place} is {value!r}, expected {kind}"
    else:
        known = getattr(kserve.models, kind, None) or getattr(kubernetes.client.models, kind, None)
        if known is None:  # KServe's schema has a few types without a class, such as quantities
            assert isinstance(value, SCALARS), f"{place} is {value!r}, expected {kind}"
            return
        fields = {name: known.openapi_types[field] for field, name in known.attribute_map.items()}
        assert isinstance(value, dict), f"{place} is no object"
        for key, each in value.items():
            assert key in fields, f"{place} has no field {key}, expected some of {', '.join(fields)}"
            check(each, fields[key], f"{place}.{key}")
        known(**{field: value.get(name) for field, name in known.attribute_map.items()})  # what is required is there


if __name__ == "__main__":
    for path in sys.argv[1:]:
        with open(path) as file:
            document = yaml.safe_load(file)
        check(document, KINDS[document["kind"]], path)
    print("all well")
