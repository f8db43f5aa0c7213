"""Train a classifier on scikit-learn's digits, export it, and classify with the exported version.

    python examples/export_classifier.py [FOLDER]

FOLDER becomes a models folder: `digits serve --models FOLDER`. It needs `make setup-dev`.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import skops.io
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "my-models")
folder.mkdir(parents=True, exist_ok=True)

images, labels = load_digits(return_X_y=True)
classifier = MLPClassifier((20,), max_iter=500, random_state=1).fit(images[:1300] / 16, labels[:1300])
skops.io.dump(classifier, folder / "tiny.skops")
np.savez(folder / "tiny.npz", pixels=images[1300:].astype(np.uint8), labels=labels[1300:])

form = ["--rows", "8", "--cols", "8", "--pixel-max", "16", "--preparation", "blocks"]
data = ["--test-data", folder / "tiny.npz", "--out", folder]
subprocess.run(["digits", "export", folder / "tiny.skops", *data, *form], check=True)
picture = "tests/data/images/seven.png"
subprocess.run(["digits", "classify", "--local", "--models", folder, "--model", "tiny", "--json", picture], check=True)
