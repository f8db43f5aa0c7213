"""`docker-compose up`: who can call it, and how it ends."""

import base64
import collections
import json
import shutil
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from digits_client import DigitsClient

from tests.deployment.load import call_until_refused
from tests.deployment.stack import docker, get, inspect, until
from tests.support.processes import ROOT

pytestmark = pytest.mark.extra("docker")

SEVEN = ROOT / "tests" / "data" / "images" / "seven.png"
GRACE_SECONDS = 10  # the default of DIGITS_GRACE_SECONDS


def test_a_digit_is_classified_from_the_host_and_from_other_containers(start_stack):
    """By gRPC and JSON through the balancer, and by gRPC from a container that calls past it; metrics stay inside."""
    stack = start_stack("callers")
    with DigitsClient(stack.address) as client:
        assert client.classify(SEVEN).digit == 7
    body = json.dumps({"encodedImages": [base64.b64encode(SEVEN.read_bytes()).decode()]}).encode()
    url = f"http://127.0.0.1:{stack.http}/digits.v1.DigitsService/Classify"
    asked = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=10) as response:
        assert json.load(response)["predictions"][0]["digit"] == 7
    for network, server in (("inside", "digits:8001"), ("outside", "balancer:8001")):
        given = ["--network", f"{stack.name}_{network}", "-v", f"{SEVEN.parent}:/images:ro", "digits:cpu"]
        printed = docker("run", "--rm", *given, "classify", "--json", "--server", server, "/images/seven.png")
        assert json.loads(printed)["digit"] == 7
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"http://127.0.0.1:{stack.http}/metrics")
    [container] = stack.containers("digits")
    assert stack.calls_of(container) == 4


def test_what_serves_is_confined(start_stack):
    """It calls nobody outside of its network, writes nowhere but to /tmp, and has no capability."""
    stack = start_stack("confined")
    [container], [balancer] = stack.containers("digits"), stack.containers("balancer")
    outside = inspect(balancer)["NetworkSettings"]["Networks"][f"{stack.name}_outside"]["IPAddress"]
    reach = ["python", "-c", f"import socket; socket.create_connection(('{outside}', 8001), 2); print('reached')"]
    assert docker("exec", balancer, *reach) == "reached"
    assert docker("exec", container, *reach, check=False) == ""
    host = inspect(container)["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert until(lambda: inspect(container)["State"]["Health"]["Status"] == "healthy", "healthy")


def test_down_ends_within_the_grace_time_and_loses_no_call(start_stack):
    """Small and long calls are under way, from clients that repeat nothing: each is answered or was never taken."""
    stack = start_stack("down")
    seen: collections.Counter[str] = collections.Counter()
    lock = threading.Lock()

    def count(what: str) -> None:
        with lock:
            seen[what] += 1

    kinds = [("mnist-16x16", 1)] * 6 + [("mnist-large", 512)] * 2
    threads = [threading.Thread(target=call_until_refused, args=(stack.address, *kind, count)) for kind in kinds]
    for thread in threads:
        thread.start()
    time.sleep(3)
    containers = stack.containers("digits") + stack.containers("balancer")
    begun = time.monotonic()
    stack.compose("stop")
    took = time.monotonic() - begun
    codes = [inspect(container)["State"]["ExitCode"] for container in containers]
    for thread in threads:
        thread.join()
    print(f"\nstopped in {took:.1f} s: {dict(seen)}")
    assert took < GRACE_SECONDS
    assert codes == [0, 0]
    assert seen["answered"] > 100
    assert set(seen) == {"answered", "not taken"}
    stack.down()
    assert docker("ps", "-aq", f"--filter=label=com.docker.compose.project={stack.name}") == ""


def test_a_setting_from_the_environment_reaches_the_service(start_stack):
    """What `.env` or the shell says; what they leave out stays as it was."""
    stack = start_stack("settings", DIGITS_MAX_BATCH_ROWS="5")
    with DigitsClient(stack.address) as client:
        assert client.models().max_rows == 5


def test_a_model_that_is_put_into_the_folder_is_served(start_stack, tmp_path):
    """With DIGITS_MODEL_CONTROL=poll, without a build or a start."""
    tmp_path.chmod(0o755)
    shutil.copytree(ROOT / "models" / "mnist-16x16", tmp_path / "mnist-16x16")
    stack = start_stack("poll", MODELS_FOLDER=str(tmp_path), DIGITS_MODEL_CONTROL="poll", DIGITS_POLL_SECONDS="0.2")
    shutil.copytree(ROOT / "models" / "digits-8x8", tmp_path / ".new")
    (tmp_path / ".new").rename(tmp_path / "digits-8x8")
    with DigitsClient(stack.address, model="digits-8x8") as client:
        until(lambda: "digits-8x8" in {each.name for each in client.models().models}, "the new model is listed")
        assert client.classify(np.zeros((8, 8), np.uint8)).model.name == "digits-8x8"
