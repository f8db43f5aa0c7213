"""Bodies as clients compress and accept them: gzip and deflate."""

import asyncio
import zlib

from engine.errors import InvalidInput, MessageTooLarge, NotSupported, quoted

_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
# Bodies of fewer bytes are sent as they are: compressing them costs more than it saves.
COMPRESS_BYTES = 1024
# Bodies of more are compressed in a thread.
THREAD_BYTES = 32 * 1024
# Level 1: scores hardly compress.
_LEVEL = 1


async def decompress(data: bytes, encoding: str, most: int) -> bytes:
    """The body that came with that `Content-Encoding`.

    Raises `NotSupported`, `InvalidInput`, and `MessageTooLarge` for more than `most` bytes.
    """
    bits = _WINDOW_BITS.get(encoding.strip().lower())
    if bits is None:
        raise NotSupported(f"Content-Encoding is {quoted(encoding)}, expected one of {', '.join(_WINDOW_BITS)}")
    stream = zlib.decompressobj(bits)
    try:
        whole = await asyncio.to_thread(stream.decompress, data, most + 1)
    except zlib.error:
        whole = b""
    if len(whole) > most:
        raise MessageTooLarge(f"the body has more than {most} bytes once it is decompressed")
    if not stream.eof or stream.unused_data:
        raise InvalidInput("body", f"has {len(data)} bytes that are no valid {encoding}")
    return whole


async def compress(body: bytes, accepted: str) -> tuple[bytes, bytes]:
    """The body by one of the encodings in `Accept-Encoding`, and its name; empty for a body as it is."""
    names = [each.partition(";")[0].strip().lower() for each in accepted.split(",") if not _refused(each)]
    encoding = next((name for name in _WINDOW_BITS if name in names), "")
    if not encoding or len(body) < COMPRESS_BYTES:
        return body, b""
    bits = _WINDOW_BITS[encoding]
    if len(body) < THREAD_BYTES:
        return zlib.compress(body, _LEVEL, bits), encoding.encode()
    return await asyncio.to_thread(zlib.compress, body, _LEVEL, bits), encoding.encode()


def _refused(accepted: str) -> bool:
    """Whether the weight of an encoding is 0, which means that it is not accepted."""
    _, _, weight = accepted.partition("q=")
    return bool(weight) and not weight.strip("0. ")
