"""What the package sets before others are imported."""

import os
import subprocess
import sys


def test_numpy_multiplies_in_one_thread():
    """OpenBLAS makes its threads when it is loaded, one for each core but for the first."""
    code = "import service, os, numpy; print(len(os.listdir('/proc/self/task')))"
    bare = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    counted = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True)
    assert int(counted.stdout) == 1
