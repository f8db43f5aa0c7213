"""Score a folder of image files into a table, without a server: `pip install` with the extra `score`.

python examples/score_folder.py [FOLDER [TABLE]]
"""

import csv
import sys
from pathlib import Path

from scoring import score

folder = sys.argv[1] if len(sys.argv) > 1 else "tests/data/images"
table = Path(sys.argv[2] if len(sys.argv) > 2 else "scores.csv")

summary = score(folder, table)
print(f"{summary.rows} scored by {summary.model.card.name}")
with table.open() as lines:
    for row in csv.DictReader(lines):
        print(row["id"], "shows", row["digit"])
