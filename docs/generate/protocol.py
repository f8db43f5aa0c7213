"""The pages of the RPCs, from the comments of `proto/`."""

import importlib.resources
import subprocess
import sysconfig
import tempfile
from collections.abc import Collection
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from docs.generate.markdown import code, head, table, text

ROOT = Path(__file__).resolve().parents[2]
# Numbers of the fields of FileDescriptorProto, DescriptorProto and so on, of which the paths of comments consist.
_MESSAGE, _ENUM, _SERVICE, _METHOD, _FIELD, _VALUE, _NESTED, _NESTED_ENUM = 4, 5, 6, 2, 2, 2, 3, 4

_FIRST = {"digits": ("Classify", "ClassifyStream", "Read")}
"""The methods whose messages are on the first of two pages, by the name of the file."""

Place = tuple[int, ...]


def pages() -> dict[str, str]:
    """The text of a page for each file of proto/, by its path below docs/."""
    files = [page for each in _read() if not each.name.startswith("google/") for page in _pages(each)]
    homes = {name: file.page for file in files for name in file.names()}
    return {f"reference/rpc/{file.page}": file.text(homes) for file in files}


def _read() -> list[FileDescriptorProto]:
    protoc = Path(sysconfig.get_path("scripts")) / "protoc"
    sources = sorted((ROOT / "proto").rglob("*.proto"))
    google = importlib.resources.files("google.rpc").joinpath("status.proto")
    with importlib.resources.as_file(google) as status, tempfile.TemporaryDirectory() as folder:
        described = Path(folder) / "described"
        includes = (f"-I{ROOT / 'proto'}", f"-I{status.parents[2]}")
        command = [protoc, *includes, "--include_source_info", f"--descriptor_set_out={described}", *sources]
        subprocess.run(command, check=True)
        return list(FileDescriptorSet.FromString(described.read_bytes()).file)


def _pages(file: FileDescriptorProto) -> list["_File"]:
    """One page, or two where a file is long: the second has what only the methods that are not in `_FIRST` need."""
    stem = Path(file.name).stem
    if stem not in _FIRST:
        return [_File(file, f"{stem}.md", None)]
    fields = {f".{file.package}.{each.name}": [field.type_name for field in each.field] for each in file.message_type}
    first: set[str] = set()
    waiting = [
        name
        for method in file.service[0].method
        if method.name in _FIRST[stem]
        for name in (method.input_type, method.output_type)
    ]
    while waiting:
        if (name := waiting.pop()) in fields and name not in first:
            first.add(name)
            waiting += fields[name]
    enums = [f".{file.package}.{each.name}" for each in file.enum_type]
    second = [name for name in (*fields, *enums) if name not in first]
    return [_File(file, f"{stem}.md", first), _File(file, f"{stem}_models.md", second)]


class _File:
    """One page: a file of proto/ with its comments, or a part of one."""

    def __init__(self, file: FileDescriptorProto, page: str, kept: Collection[str] | None) -> None:
        self.file = file
        self.page = page
        self.kept = kept
        self.comments: dict[Place, str] = {
            tuple(each.path): each.leading_comments or each.trailing_comments for each in file.source_code_info.location
        }

    def names(self) -> list[str]:
        """Full names of its messages and enums, nested ones included."""
        names = []
        for each in (*self.file.message_type, *self.file.enum_type):
            name = f".{self.file.package}.{each.name}"
            if self._has(name):
                names += [name, *(self._nested(each, name) if isinstance(each, DescriptorProto) else ())]
        return names

    def _has(self, name: str) -> bool:
        return self.kept is None or name in self.kept

    def _nested(self, message: DescriptorProto, name: str) -> list[str]:
        names = [f"{name}.{each.name}" for each in (*message.nested_type, *message.enum_type)]
        for each in message.nested_type:
            names += self._nested(each, f"{name}.{each.name}")
        return names

    def text(self, homes: dict[str, str]) -> str:
        """The page; `homes` tells the page of each type."""
        self.homes = homes
        about = ", models" if self.page.endswith("_models.md") else ""
        parts = [head(f"`{self.file.name}`{about}", f"`proto/{self.file.name}`"), f"Package `{self.file.package}`.\n"]
        for number, service in enumerate(self.file.service if self.page == f"{Path(self.file.name).stem}.md" else ()):
            place = (_SERVICE, number)
            rows = []
            for index, method in enumerate(service.method):
                request, response = self._link(method.input_type), self._link(method.output_type)
                request = f"stream of {request}" if method.client_streaming else request
                response = f"stream of {response}" if method.server_streaming else response
                rows.append((code(method.name), request, response, self._comment((*place, _METHOD, index))))
            parts += [f"## {service.name}\n", self._comment(place) + "\n"]
            parts.append(table(("method", "request", "response", "meaning"), rows))
        for number, message in enumerate(self.file.message_type):
            if not self._has(f".{self.file.package}.{message.name}"):
                continue
            parts += self._message(message, message.name, (_MESSAGE, number))
        for number, enum in enumerate(self.file.enum_type):
            if not self._has(f".{self.file.package}.{enum.name}"):
                continue
            parts += self._enum(enum, enum.name, (_ENUM, number))
        return "\n".join(parts)

    def _message(self, message: DescriptorProto, name: str, place: Place) -> list[str]:
        entries = {each.name: each for each in message.nested_type if each.options.map_entry}
        parts = [f"## {name}\n", self._comment(place) + "\n"]
        rows = [
            (code(field.name), self._kind(field, entries), self._comment((*place, _FIELD, number)))
            for number, field in enumerate(message.field)
        ]
        if rows:
            parts.append(table(("field", "type", "meaning"), rows))
        for number, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                parts += self._message(nested, f"{name}.{nested.name}", (*place, _NESTED, number))
        for number, enum in enumerate(message.enum_type):
            parts += self._enum(enum, f"{name}.{enum.name}", (*place, _NESTED_ENUM, number))
        return parts

    def _enum(self, enum: EnumDescriptorProto, name: str, place: Place) -> list[str]:
        rows = [
            (code(value.name), str(value.number), self._comment((*place, _VALUE, number)))
            for number, value in enumerate(enum.value)
        ]
        return [f"## {name}\n", self._comment(place) + "\n", table(("value", "number", "meaning"), rows)]

    def _kind(self, field: FieldDescriptorProto, entries: dict[str, DescriptorProto]) -> str:
        """The type of a field as a proto file writes it, with a link to a message."""
        entry = entries.get(field.type_name.rsplit(".", 1)[-1])
        if entry is not None:
            key, value = (self._kind(each, {}) for each in entry.field)
            return f"map of {key} to {value}"
        if field.type_name:
            name = self._link(field.type_name)
        else:
            name = code(FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower())
        repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
        return f"repeated {name}" if repeated else f"optional {name}" if field.proto3_optional else name

    def _link(self, full: str) -> str:
        name = full.removeprefix(f".{self.file.package}.").removeprefix(".")
        home = self.homes.get(full)
        if home is None:
            return code(name)
        page = "" if home == self.page else home
        return f"[{code(name)}]({page}#{name.lower().replace('.', '')})"

    def _comment(self, place: Place) -> str:
        return text(self.comments.get(place, ""))
