"""The fast path of ModelInfer over REST: binary tensors in and out, see `service.api.open_inference.fast_path`."""

import json
import math
from asyncio import Future
from functools import partial
from typing import Any

from digits_protocol.inference import open_inference_pb2 as pb

from engine.errors import InvalidInput
from engine.models.batcher import BatchSlice
from engine.models.repository import Repository
from engine.models.version import Version
from engine.shared_memory import SharedMemory
from service.api.cache import MAX_TEMPLATE_BYTES, BatchCache, Names, TemplateCache
from service.api.open_inference.fast_path import RequestTemplate, cut_rows, read_template, submit
from service.api.open_inference.rest.codec import RestCall
from service.api.open_inference.rest.requests import BINARY_SIZE, read_infer, read_object
from service.api.open_inference.rest.responses import describe, to_json

_END = b"\0"  # of the parts of a key; no JSON and no path has it


class RestFastPath:
    """The fast path of ModelInfer over REST."""

    def __init__(self, repository: Repository, memory: SharedMemory, max_rows: int) -> None:
        """`max_rows` is the most images in one call."""
        self._memory = memory
        self._max_rows = max_rows
        self.templates = TemplateCache(repository, _read_names, self._read_template)
        self._batches: BatchCache[bytes] = BatchCache()
        memory.on_change.append(self.templates.clear)

    def start(self, data: bytes, start: int, context: Any) -> Future[bytes] | None:
        """See `Method.fast_path`; the JSON is data[:start]. Raises what `InferApi.model_infer` raises."""
        call: RestCall = context
        if not 0 < start <= MAX_TEMPLATE_BYTES:
            return None
        head, id_ = data[:start], b""
        if b'"id"' in head:
            try:
                found = read_object(head)
            except InvalidInput:
                return None
            if isinstance(name := found.pop("id", ""), str) and name.isascii():
                head = json.dumps(found).encode()  # in ASCII: halves of surrogate pairs have no UTF-8
                id_ = b',"id":' + to_json(name) if name else b""
            else:
                return None
        path = call.fields
        names = f"{path['model_name']}\0{path.get('model_version', '')}\0{len(data) - start}\0"
        found_template = self.templates.find(names.encode() + head)
        if found_template is None:
            return None
        version, template = found_template
        return submit(version, template, data, start, call, partial(self._write, template, id_, call))

    def _read_template(self, key: bytes, version: Version) -> RequestTemplate | None:
        name, number, size, head = key.split(_END, 3)
        path = {"model_name": name.decode(), "model_version": number.decode()}
        try:
            request = read_infer(path, read_object(head), memoryview(bytes(int(size))))
        except InvalidInput:
            return None
        message = request.message
        in_json = len(message.raw_input_contents) != (size != b"0")
        as_json = not all(
            request.is_binary(output.name) or "shared_memory_region" in output.parameters for output in message.outputs
        )
        if in_json or as_json or not (message.outputs or request.all_binary):
            return None
        return read_template(message, version, self._max_rows, self._memory, _write_head)

    def _write(self, template: RequestTemplate, id_: bytes, call: RestCall, batch_slice: BatchSlice) -> bytes:
        """The answer of one caller; outputs in shared memory are written there."""
        encoded = self._batches.of(batch_slice.batch)
        counts = b'%d,"inference_us":%d,"batch_rows":%d}' % (
            batch_slice.queue_us,
            batch_slice.inference_us,
            batch_slice.batch_rows,
        )
        parts = [template.written, counts, id_, b"}"]
        size = len(template.written) + len(counts) + len(id_) + 1
        for index, output in enumerate(template.plan.outputs):
            window = output.window
            if window is not None:
                window.region.write(window.offset, output.of(batch_slice.result), f"outputs[{index}]")
            else:
                call.json_bytes = size
                parts.append(cut_rows(encoded, output, batch_slice))
        return b"".join(parts)


def _read_names(key: bytes) -> Names | None:
    name, number, _ = key.split(_END, 2)
    return name.decode(), number.decode()


def _write_head(response: pb.ModelInferResponse) -> bytes:
    """The JSON of every answer as far as it is the same, which is up to the value of `queue_us`."""
    outputs = []
    for tensor in response.outputs:
        output = describe(tensor)
        size = math.prod(tensor.shape) * (8 if tensor.datatype == "INT64" else 4)
        outputs.append({"parameters": {BINARY_SIZE: size}} | output)
    parameters = {"sha256": response.parameters["sha256"].string_param, "queue_us": 0}
    told = {"model_name": response.model_name, "model_version": response.model_version, "outputs": outputs}
    return to_json(told | {"parameters": parameters}).removesuffix(b"0}}")
