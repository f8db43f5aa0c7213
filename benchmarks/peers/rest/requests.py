"""Some two hundred requests over REST, good and bad, that any server of the protocol may be asked."""

from benchmarks.peers.rest import good_requests as good
from benchmarks.peers.rest import wrong_requests as wrong
from benchmarks.peers.rest.request import RestRequest


def requests(shared_memory: str) -> list[RestRequest]:
    """All of them, in an order in which none spoils a later one; `shared_memory` is the key of a region."""
    return [
        *good.descriptions(),
        *good.paths(),
        *good.inference(),
        *good.encodings(),
        *wrong.wrong_tensors(),
        *wrong.wrong_values(),
        *wrong.wrong_json(),
        *wrong.wrong_lengths(),
        *wrong.outputs(),
        *good.shared_memory(shared_memory),
        *good.repository(),
    ]
