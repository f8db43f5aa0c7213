"""The Python client of the digits service, for threads and for asyncio.

    from digits_client import DigitsClient

    with DigitsClient("localhost:8001") as client:
        print(client.classify("seven.png").digit)

`AsyncDigitsClient` is the same with `async with` and `await`.
"""

from digits_client.aio import AsyncDigitsClient
from digits_client.client import DigitsClient
from digits_client.errors import (
    ClientClosed,
    DeadlineExceeded,
    DigitsError,
    InvalidInput,
    ModelNotFound,
    NotAllowed,
    Overloaded,
    ServerError,
    TooLarge,
    Unavailable,
)
from digits_client.health import Health
from digits_client.models import ListedModel, ListedVersion, Listing, ModelCard, Network, NetworkLayer
from digits_client.reading import Box, GridField, ReadDigit, Reading, ReadLine
from digits_client.results import Classification, Classifications, ModelIdentity, Timings

__all__ = [
    "AsyncDigitsClient",
    "Box",
    "Classification",
    "Classifications",
    "ClientClosed",
    "DeadlineExceeded",
    "DigitsClient",
    "DigitsError",
    "GridField",
    "Health",
    "InvalidInput",
    "ListedModel",
    "ListedVersion",
    "Listing",
    "ModelCard",
    "ModelIdentity",
    "ModelNotFound",
    "Network",
    "NetworkLayer",
    "NotAllowed",
    "Overloaded",
    "ReadDigit",
    "ReadLine",
    "Reading",
    "ServerError",
    "Timings",
    "TooLarge",
    "Unavailable",
]
