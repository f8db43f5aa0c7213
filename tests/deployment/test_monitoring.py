"""Prometheus scrapes the real service: every figure of the dashboard, and the alert that nobody is left."""

import json
import math
import os
import time
import urllib.parse
from collections.abc import Iterator

import numpy as np
import pytest
import yaml
from digits_client import DigitsClient

from tests.deployment.load import Load
from tests.deployment.stack import Stack, docker, get, until
from tests.support.processes import ROOT

pytestmark = pytest.mark.extra("docker")

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "digits.json").read_text())
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']}, {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]
# What Grafana puts in: at least four scrapes of five seconds.
INTERVAL = "20s"


def prometheus_image() -> str:
    """As docker-compose.yml names it, or the variable that it asks for."""
    name = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["prometheus"]["image"]
    return os.environ.get("PROMETHEUS_IMAGE") or name.partition(":-")[2].removesuffix("}")


def promtool(*arguments: str) -> str:
    given = ["--network=none", "-v", f"{PROMETHEUS}:/etc/prometheus:ro", "--entrypoint=promtool"]
    return docker("run", "--rm", *given, prometheus_image(), *arguments)


def query(stack: Stack, expression: str) -> list[float]:
    """Values of an instant query."""
    asked = urllib.parse.urlencode({"query": expression})
    found = json.loads(get(f"http://127.0.0.1:{stack.prometheus}/api/v1/query?{asked}"))
    return [float(each["value"][1]) for each in found["data"]["result"]]


@pytest.fixture(scope="module")
def scraped(image: str) -> Iterator[Stack]:
    """Two containers that have answered calls and streams for half a minute, as Prometheus saw it."""
    stack = Stack("monitoring", CPUS="1")
    try:
        stack.up("--scale", "digits=2", "digits", "balancer")
        stack.compose("--profile", "monitoring", "up", "-d", "--no-recreate", "--scale", "digits=2", "prometheus")
        until(lambda: query(stack, 'up{job="digits"}') == [1, 1], "both are scraped")
        until(lambda: len(stack.containers("digits")) == 2, "both run")
        images = np.zeros((28, 28), np.uint8)
        end = time.monotonic() + 25
        with Load(stack.address, 2), DigitsClient(stack.address) as client:
            while time.monotonic() < end:
                assert len(list(client.classify_stream([images] * 20))) == 20
        yield stack
    finally:
        stack.down()


@pytest.mark.parametrize("arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")])
def test_promtool_takes_the_configuration_and_the_alerts_fire_on_their_figures(image, arguments):
    """`check config` checks the rules with it; `test rules` runs each on figures that must make it fire."""
    *command, file = arguments
    assert "FAILED" not in promtool(*command, f"/etc/prometheus/{file}")


@pytest.mark.parametrize("expression", QUERIES)
def test_each_query_of_the_dashboard_has_data(scraped: Stack, expression: str):
    """Numbers, not an empty panel."""
    values = query(scraped, expression.replace("$__rate_interval", INTERVAL))
    assert values
    assert not any(map(math.isnan, values)), values


def test_the_dashboard_tells_what_was_done(scraped: Stack):
    """Calls of both containers, and as many images as were sent."""
    shares = query(scraped, "sum by (instance) (digits_requests_total)")
    assert len(shares) == 2
    assert all(shares)
    assert query(scraped, "sum(digits_rows_total)")[0] > 100


def test_no_alert_fires_while_all_is_well_and_one_does_when_nobody_is_left(scraped: Stack):
    """It becomes pending, and after a quarter of a minute it fires; when the service is back it ends."""

    def alerts() -> dict[str, str]:
        found = json.loads(get(f"http://127.0.0.1:{scraped.prometheus}/api/v1/alerts"))["data"]["alerts"]
        return {each["labels"]["alertname"]: each["state"] for each in found}

    assert alerts() == {}
    containers = scraped.containers("digits")
    docker("stop", *containers)
    begun = time.monotonic()
    until(lambda: alerts().get("DigitsGone") == "firing", "the alert fires")
    print(f"\nfires {time.monotonic() - begun:.0f} s after the service has stopped")
    docker("start", *containers)
    until(lambda: "DigitsGone" not in alerts(), "the alert ends")
