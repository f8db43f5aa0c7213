"""A server that is saturated for long: it answers everything, and its memory stays where it was.

`make endure` lets it run for ten minutes; by default it is seconds, to see that it can be run at all.
"""

import os
import statistics
import threading
import time

from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import open_inference_pb2 as oip

from tests.support.server import StartServer

SECONDS = float(os.environ.get("ENDURE_SECONDS", "1.5"))
CLASSIFY, INFER = "/digits.v1.DigitsService/Classify", "/inference.GRPCInferenceService/ModelInfer"


def test_a_saturated_server_keeps_its_memory_and_answers_all(start_server: StartServer, mnist_test):
    """Single images and batches by both protocols; after a fifth of the time memory grows by less than 3 %."""
    server = start_server()
    pixels = mnist_test[0]
    infer = oip.ModelInferRequest(model_name="mnist-16x16")
    infer.inputs.add(name="pixels", datatype="UINT8", shape=[256, 784])
    infer.raw_input_contents.append(pixels[:256].tobytes())
    single = pb.ClassifyRequest(pixels=pixels[:1].tobytes()).SerializeToString()
    requests = [(CLASSIFY, single), (CLASSIFY, single), (INFER, infer.SerializeToString())]
    until = time.monotonic() + SECONDS
    answered = [0] * len(requests)
    failed: list[BaseException] = []

    def drive(index: int) -> None:
        path, body = requests[index]
        with server.channel() as channel:
            call = channel.unary_unary(path)
            try:
                while time.monotonic() < until:
                    for waiting in [call.future(body, timeout=60) for _ in range(16)]:
                        waiting.result()
                        answered[index] += 1
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=drive, args=[index]) for index in range(len(requests))]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS / 5)
    levels = []
    while any(thread.is_alive() for thread in threads):
        levels.append(server.resident_mib())
        time.sleep(min(SECONDS / 20, 2))
    for thread in threads:
        thread.join()
    assert failed == []
    assert min(answered) > 0
    counted = server.metrics()["digits_requests_total"]
    assert {key[0] for key, count in counted.items() if count and key[1] in (CLASSIFY[1:], INFER[1:])} == {"OK"}
    # Requests of 200 kB come and go, so a level is the middle of many.
    tenth = max(len(levels) // 10, 1)
    before, after = statistics.median(levels[:tenth]), statistics.median(levels[-tenth:])
    print(  # noqa: T201 - the figures are what it is run for
        f"{sum(answered)} calls; resident {before:.1f} MiB after a fifth of the time, {after:.1f} MiB at the end"
    )
    if SECONDS >= 60:  # before that a server is still warming up
        assert after < before * 1.03
