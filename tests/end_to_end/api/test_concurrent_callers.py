"""Many callers at once: everybody gets their own rows, and the bad ones hurt nobody."""

import asyncio
import random

import grpc
import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb

from tests.support.server import STEM, Server

CLIENTS = 64
CALLS = 12


def unary(channel: grpc.aio.Channel):
    return channel.unary_unary(
        STEM + "Classify",
        request_serializer=pb.ClassifyRequest.SerializeToString,
        response_deserializer=pb.ClassifyResponse.FromString,
    )


BAD = [
    (pb.ClassifyRequest(pixels=bytes(783)), grpc.StatusCode.INVALID_ARGUMENT),
    (pb.ClassifyRequest(), grpc.StatusCode.INVALID_ARGUMENT),
    (pb.ClassifyRequest(model="nobody", pixels=bytes(784)), grpc.StatusCode.NOT_FOUND),
    (pb.ClassifyRequest(model="digits-8x8", pixels=bytes([17]) * 64), grpc.StatusCode.INVALID_ARGUMENT),
    (pb.ClassifyRequest(encoded_images=[b"no image"]), grpc.StatusCode.INVALID_ARGUMENT),
]


async def test_64_clients_get_their_own_rows_bit_equal_to_the_same_rows_alone(server: Server, mnist_test):
    """Batch sizes from 1 to 100, a tenth of the requests bad, in the noise of one another."""
    pixels, _ = mnist_test
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(server.address) as alone:
        classify = unary(alone)
        scores = np.concatenate(
            [
                [
                    prediction.scores
                    for prediction in (await classify(pb.ClassifyRequest(pixels=row.tobytes()))).predictions
                ]
                for row in pixels[:1000]
            ]
        )

    shared = 0

    async def client(seed: int) -> tuple[int, int]:
        nonlocal shared
        chance = random.Random(seed)
        good = bad = 0
        async with grpc.aio.insecure_channel(server.address, options=options) as channel:
            classify = unary(channel)
            for _ in range(CALLS):
                if chance.random() < 0.1:
                    request, code = chance.choice(BAD)
                    with pytest.raises(grpc.aio.AioRpcError) as raised:
                        await classify(request, timeout=30)
                    assert raised.value.code() is code
                    bad += 1
                    continue
                picked = np.array(chance.choices(range(1000), k=chance.randint(1, 100)))
                answer = await classify(pb.ClassifyRequest(pixels=pixels[picked].tobytes()), timeout=30)
                got = np.array([prediction.scores for prediction in answer.predictions])
                assert np.array_equal(got, scores[picked])
                shared += answer.timings.batch_rows > len(picked)
                good += 1
        return good, bad

    counts = await asyncio.gather(*(client(seed) for seed in range(CLIENTS)))
    good, bad = map(sum, zip(*counts, strict=True))
    assert good + bad == CLIENTS * CALLS
    assert bad > CLIENTS * CALLS * 0.05
    assert shared > 0, "no two callers ever shared a batch, so this showed nothing"


async def test_callers_who_want_activations_share_a_batch_with_those_who_do_not(server: Server, mnist_test):
    """Each gets what it asked for and no more."""
    pixels, _ = mnist_test
    async with grpc.aio.insecure_channel(server.address) as channel:
        classify = unary(channel)
        answers = await asyncio.gather(
            *(
                classify(pb.ClassifyRequest(pixels=pixels[i].tobytes(), include_activations=i % 2 == 0))
                for i in range(200)
            )
        )
    for i, answer in enumerate(answers):
        [prediction] = answer.predictions
        assert bool(prediction.activations) == (i % 2 == 0)
        if prediction.activations:
            assert list(prediction.activations[0].values) == pixels[i].tolist()
