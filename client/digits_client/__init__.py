"""The Python client of the digits service, for threads and for asyncio.

    from digits_client import DigitsClient

    with DigitsClient("localhost:8001") as client:
        print(client.classify("seven.png").digit)

`AsyncDigitsClient` is the same with `async with` and `await`.
"""

from digits_client.aio import AsyncDigitsClient
from digits_client.answers.explanations import Change, Explanation, LayerContributions, NetworkExplanation
from digits_client.answers.health import Health
from digits_client.answers.models import Learning, ListedModel, ListedVersion, Listing, ModelCard, Network, NetworkLayer
from digits_client.answers.reading import Box, GridField, ReadDigit, Reading, ReadLine
from digits_client.answers.results import Classification, Classifications, ModelIdentity, Timings
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

__all__ = [
    "AsyncDigitsClient",
    "Box",
    "Change",
    "Classification",
    "Classifications",
    "ClientClosed",
    "DeadlineExceeded",
    "DigitsClient",
    "DigitsError",
    "Explanation",
    "GridField",
    "Health",
    "InvalidInput",
    "LayerContributions",
    "Learning",
    "ListedModel",
    "ListedVersion",
    "Listing",
    "ModelCard",
    "ModelIdentity",
    "ModelNotFound",
    "Network",
    "NetworkExplanation",
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
