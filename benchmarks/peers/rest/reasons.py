"""Why the answers of Triton and of this server differ: one reason for every kind of difference."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """A kind of difference. Patterns match at the start of a text; an empty one matches everything."""

    sentence: str
    field: str = ""
    theirs: str = ""
    ours: str = ""
    about: str = ""

    def holds(self, about: str, field: str, theirs: str, ours: str) -> bool:
        """Whether a difference is of this kind."""
        pairs = ((self.about, about), (self.field, field), (self.theirs, theirs), (self.ours, ours))
        return all(re.match(pattern, text) for pattern, text in pairs)


OTHER_MODEL = "model: (metadata|config|stats)|server: statistics"
REASONS = (
    Reason("The sentences of errors differ: here they name the field and what was expected.", "error$"),
    Reason("A wrong request is the client's fault: 400. Triton's JSON reader answers 500.", "status", "500", "400"),
    Reason(
        "The answer tells its time in the queue and in onnxruntime, its batch, and the SHA-256 of the model.",
        r"parameters\.",
        about="infer|encoding|outputs|memory|length",
    ),
    Reason(
        "The servers have other names, versions and extensions.", "(name|version|extensions)$", about="server: meta"
    ),
    Reason(
        "Triton runs the model in its Python backend; here it has more outputs, and the properties of its card.",
        about="model: (metadata|config|stats)|server: statistics",
    ),
    Reason(
        "A label is a number; Triton's Python backend needs a dimension more.",
        r"outputs\[label\]\.shape",
    ),
    Reason(
        "Outputs come in the order of the request; Triton's in the order of its model.",
        "tensors",
        about="infer: .* both",
    ),
    Reason("The body says the health as well, for KServe's client.", "(live|ready)$"),
    Reason("A version that is no number is a wrong request, as by gRPC.", "status", "404", "400", ".* no number"),
    Reason("Names in a path are percent-decoded.", "status", "400", "200", "path: the model as"),
    Reason("With Envoy, a path that is not ASCII does not exist.", about="path: a model called %E2"),
    Reason("Paths outside /v2 belong to other protocols.", about="path: of v3"),
    Reason("HEAD is answered as GET is, without the body.", "status", "405", "200", "verb: HEAD"),
    Reason("405 names the verbs that are allowed, as HTTP demands.", "allow", about="verb"),
    Reason("A field that is null is absent.", "status", "500", "200", "infer: an id that is null|outputs: null"),
    Reason("Pixels alone may be several images.", "status", "400", "200", "infer: pixels of 3"),
    Reason("A compressed body that ends early is refused.", "status", "200", "400", "encoding: cut gzip"),
    Reason(
        "With grpcio, a body in more than 1,000 pieces of fewer than 64 bytes is refused.",
        "status",
        "200",
        "400",
        "encoding: JSON in pieces of 1$",
    ),
    Reason("Answers below 1 KiB are not compressed.", "content-encoding", about="encoding: answer as"),
    Reason("FP32 is accepted if all pixels are whole numbers.", "status", "400", "200", "tensor: FP32"),
    Reason("Pixels are accepted in the shapes of pictures.", "status", "400", "200", "tensor: a shape of pictures"),
    Reason("256 is no UINT8; Triton reads it as 0.", "status", "200", "400", "value: 256"),
    Reason("A list among numbers is refused.", "status", "200", "400", "value: a list"),
    Reason("A byte order mark is refused (RFC 8259).", "status", "200", "400", "JSON: with a byte order"),
    Reason("JSON is UTF-8 (RFC 8259), in errors as well.", about="JSON: no UTF-8"),
    Reason("A key that occurs twice is refused.", "status", "200", "400", "JSON: with a key twice"),
    Reason("The length of the JSON is digits alone.", "status", "200", "400", r"length: JSON of \+"),
    Reason("Zero classes are refused.", "status", "200", "400", "outputs: 0 classes"),
    Reason(
        "A class has its name: value:place:name. This model of Triton has no file of names.",
        r"tensors|outputs\[scores\]\.(data|parameters)",
        about="outputs: .* classes",
    ),
    Reason("An output in shared memory names its region, as by gRPC.", r"outputs\[scores\]\.par", about="memory"),
    Reason("A region that is not registered is a wrong request, as by gRPC.", "status", "404", "400", "memory: infer"),
    Reason("There is one repository, and it has no name.", "status", "200", "501", "repository: index of a named"),
    Reason("A model that does not exist is not found.", "status", "500", "404", "repository: load an unknown"),
    Reason(
        "A model that was unloaded is not ready: 503, as by gRPC.", "status", "404", "503", "repository: infer after"
    ),
    Reason("Health and errors of paths are JSON; Triton calls them text or HTML.", "content-type"),
)


def reason_of(about: str, field: str, theirs: str, ours: str) -> Reason | None:
    """The first reason that fits a difference, or None."""
    return next((reason for reason in REASONS if reason.holds(about, field, theirs, ours)), None)
