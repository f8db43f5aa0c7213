"""`make compare-triton`: the same requests over REST to Triton and to this server, on both fronts.

Statuses, headers and bodies are compared field by field. A table says which differ and why, see `reasons.py`; what
differs without a reason is listed, and ends the command with 1.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

from benchmarks.load.requests import MODEL, PREFIX, infer
from benchmarks.peers.entries import PEERS
from benchmarks.peers.rest.answers import ask
from benchmarks.peers.rest.reasons import REASONS, reason_of
from benchmarks.peers.rest.request import RestRequest
from benchmarks.peers.rest.requests import requests
from benchmarks.servers import digits_server
from benchmarks.servers.process import end_on_sigterm, run_server

CUT = 60


@contextmanager
def running(scratch: Path) -> Iterator[dict[str, int]]:
    """The ports of HTTP of Triton and of this server on each front, with the same model under the same version."""
    triton = PEERS[0].prepare(scratch)
    servers = [
        replace(
            triton,
            command=(*triton.command, "--model-control-mode=explicit", "--load-model=*"),
            environment={**triton.environment, "VERSION": str(MODEL.version)},
        )
    ]
    for front in digits_server.fronts():
        digits = digits_server.digits(front)
        command = (*digits.command, "--model-control=explicit")
        servers.append(replace(digits, command=command))
    with ExitStack() as stack:
        yield {
            server.name: stack.enter_context(run_server(server, infer(1), digits_server.LOGS)).http_port
            for server in servers
        }


def compare(asked: list[RestRequest], theirs: int, ours: int) -> tuple[dict[int, list[str]], list[str], int]:
    """Differences by the place of their reason, those without one, and how many answers are the same."""
    found: dict[int, list[str]] = {}
    unexplained: list[str] = []
    same = 0
    for request in asked:
        differences = ask(theirs, request).differences(ask(ours, request))
        same += not differences
        for field, pair in differences.items():
            reason = reason_of(request.about, field, *pair)
            line = f"{request.about} | {field}: {_cut(pair[0])} | {_cut(pair[1])}"
            if reason is None:
                unexplained.append(line)
            else:
                found.setdefault(REASONS.index(reason), []).append(line)
    return found, unexplained, same


def _cut(text: str) -> str:
    return (text if len(text) <= CUT else f"{text[: CUT - 1]}…").replace("|", "/")


def main() -> None:
    """Ask, compare, and print a table in Markdown."""
    end_on_sigterm()
    region = SharedMemory(f"{PREFIX}-{os.getpid()}-rest", create=True, size=4096)
    wrong = False
    used: set[int] = set()
    try:
        with tempfile.TemporaryDirectory() as scratch, running(Path(scratch)) as ports:
            asked = requests(f"/{region.name}")
            (_, theirs), *others = ports.items()
            for name, ours in others:
                found, unexplained, same = compare(asked, theirs, ours)
                print(f"\n{len(asked)} requests to Triton and {name}; {same} answers are the same in every field.\n")
                print("| difference | times | for example | Triton | here |\n|---|---|---|---|---|")
                for place, lines in sorted(found.items()):
                    print(f"| {REASONS[place].sentence} | {len(lines)} | {lines[0]} |")
                for line in unexplained:
                    print(f"without a reason: {line}")
                wrong = wrong or bool(unexplained)
                used |= found.keys()
        for place in sorted(set(range(len(REASONS))) - used):
            print(f"no difference has this reason: {REASONS[place].sentence}")
            wrong = True
    finally:
        region.close()
        region.unlink()
    sys.exit(wrong)


if __name__ == "__main__":
    main()
