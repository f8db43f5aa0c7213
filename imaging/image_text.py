"""An image file as text: Base64, or a `data:` URL (RFC 2397)."""

import base64
import binascii
from urllib.parse import unquote_to_bytes

_URL_SAFE = str.maketrans("-_", "+/")


def decode_image_text(text: str) -> bytes:
    """The bytes that `text` stands for: Base64 of either alphabet, with padding or without, or a `data:` URL.

    Raises `ValueError` with what was found and what was expected.
    """
    content = text
    if text[:5].lower() == "data:":
        head, comma, content = text.partition(",")
        if not comma:
            raise ValueError("its data: URL has no comma, expected data:image/png;base64,…")
        if not head.lower().endswith(";base64"):
            return unquote_to_bytes(content)
        content = unquote_to_bytes(content).decode(errors="replace")
    packed = "".join(content.split()).rstrip("=").translate(_URL_SAFE)
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"its text is no Base64: {text[:20]!r}, expected Base64 or a data: URL") from None
