"""Classify a picture, read one with several digits, and see what an error looks like.

python examples/classify.py [HOST:PORT]
"""

import sys

from digits_client import DigitsClient, InvalidInput

address = sys.argv[1] if len(sys.argv) > 1 else "localhost:8001"

with DigitsClient(address) as client:
    answer = client.classify("tests/data/images/seven.png", activations=True)
    print(f"{answer.digit} with a score of {answer.scores[answer.digit]:.3f} by {answer.model.name}")
    print(f"the first hidden layer has {len(answer.activations['hidden_1'])} neurons")

    reading = client.read("tests/data/several.png")
    for digit in reading.digits:
        print(f"{digit.prediction.digit} at column {digit.box.left}, row {digit.box.top}")
    print(f"read: {reading.text}")

    try:
        client.classify(b"not an image")
    except InvalidInput as error:
        print(f"refused: {error}")
