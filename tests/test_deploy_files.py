"""The files by which the service is deployed agree with the service; what takes Docker is in tests/deployment/."""

import json
import re
import textwrap
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from service.config import PREFIX, Settings, bounds
from service.telemetry.metrics import FAMILIES
from tests.support.processes import ROOT

COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
EXAMPLE = (ROOT / ".env.example").read_text()
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "digits.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
RULES_TEST = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts_test.yml").read_text())

VARIABLES = {PREFIX + name.upper(): field for name, field in Settings.model_fields.items()}
# A container listens where it must and has its models in one place; what is outside of it, docker-compose says.
# Tokens are the profile tls's, and it encrypts.
FIXED = {"DIGITS_HOST", "DIGITS_PORT", "DIGITS_HTTP_PORT", "DIGITS_MODELS", "DIGITS_ALLOW_PLAINTEXT_TOKENS"}
# Other defaults than the service's own.
DEFAULTS = {"DIGITS_FRONT": "envoy", "DIGITS_WORKERS": "auto"}
# Labels that Prometheus adds, and the one that histograms have.
ADDED_LABELS = {"instance", "job", "le"}


def queries() -> Iterator[Any]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield pytest.param(target["expr"], id=f"panel {panel['title']}, {target['refId']}")
    for group in RULES["groups"]:
        for rule in group["rules"]:
            yield pytest.param(rule["expr"], id=f"alert {rule['alert']}")


def test_docker_compose_passes_every_setting_on():
    """Each by its own name, or the profile tls says it; none that the service does not know."""
    passed = COMPOSE["x-settings"]
    assert set(passed) <= set(VARIABLES)
    told = set(passed) | set(COMPOSE["services"]["digits-tls"]["environment"]) | FIXED
    assert set(VARIABLES) - told == set()
    for name, value in passed.items():
        assert value == f"${{{name}:-{DEFAULTS.get(name, '')}}}"


@pytest.mark.parametrize("name", COMPOSE["x-settings"])
def test_a_setting_is_in_the_example_with_its_meaning_and_default(name: str):
    """As `digits serve --help` has them."""
    field = VARIABLES[name]
    assert field.description
    text = field.description[0].upper() + field.description[1:] + (f" ({bounds(field)})" if bounds(field) else "")
    wrapped = textwrap.wrap(text, 116, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    default = DEFAULTS.get(name, str(field.default).lower() if field.annotation is bool else str(field.default))
    assert "\n".join([*wrapped, f"#{name}={default}\n"]) in EXAMPLE


def test_the_example_has_every_variable_and_no_other():
    """All that docker-compose.yml asks for; and copied as it is, it changes nothing."""
    asked = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_TEXT))
    offered = set(re.findall(r"^#([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    assert asked == offered
    assert set(VARIABLES) - {name for name in VARIABLES if name in EXAMPLE} == set()
    assert all(line.startswith("#") for line in EXAMPLE.splitlines() if line)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\$\{([A-Z_]+):-", COMPOSE_TEXT)) - set(COMPOSE["x-settings"])))
def test_a_variable_of_docker_compose_has_the_default_that_the_example_says(name: str):
    """One that is said in two places must be the same in both."""
    defaults = set(re.findall(rf"\$\{{{name}:-([^}}]*)\}}", COMPOSE_TEXT))
    assert {re.search(rf"^#{name}=(.*)$", EXAMPLE, re.MULTILINE)[1]} == defaults


def images() -> Iterator[Any]:
    """Every image that a file of the deployment names, by the file."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
    for name in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        yield "Dockerfile", re.sub(r"\$\{(\w+)\}", lambda match: defaults[match[1]], name)
    for path in (ROOT / "docker-compose.yml", *sorted((ROOT / "deploy").rglob("*.y*ml"))):
        for name in _images(list(yaml.safe_load_all(path.read_text()))):
            yield path.name, re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", name)


def _images(node: Any) -> Iterator[str]:
    """What stands under `image`, and what kustomize puts in the place of one."""
    if isinstance(node, dict):
        if isinstance(node.get("image"), str):
            yield node["image"]
        if "newTag" in node:
            yield f"{node['newName']}:{node['newTag']}"
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        yield from _images(each)


def test_every_image_is_named_with_its_version():
    """Else what is deployed changes by itself; ours are named by their variant."""
    found = list(images())
    assert {"Dockerfile", "docker-compose.yml", "deployment.yaml", "kustomization.yaml"} <= {file for file, _ in found}
    assert len(found) >= 8
    for file, name in found:
        wanted = r"digits:(cpu|gpu|score)" if name.startswith("digits") else r"[a-z./]+:v?\d+\.\d+[\w.-]*"
        assert re.fullmatch(wanted, name), f"{file}: {name}"


def test_the_base_is_the_same_whoever_builds_the_image():
    """docker-compose, or docker alone."""
    [base] = {name for file, name in images() if file == "Dockerfile"}
    assert COMPOSE["x-base"] == f"${{BASE_IMAGE:-{base}}}"
    built = [service["build"]["args"]["BASE"] for service in COMPOSE["services"].values() if "build" in service]
    assert built == [COMPOSE["x-base"]] * len(built)
    assert built


def test_nothing_is_published_beyond_the_loopback_unless_told_or_encrypted():
    """And what serves without encryption is published by the balancer alone."""
    for name, service in COMPOSE["services"].items():
        address = "${TLS_PUBLISH_ADDRESS:-0.0.0.0}" if name == "digits-tls" else "${PUBLISH_ADDRESS:-127.0.0.1}"
        assert all(port.startswith(address + ":") for port in service.get("ports", []))
    assert "ports" not in COMPOSE["services"]["digits"]


def test_every_service_is_confined():
    """No capability, and nothing by which a process could gain one; what is ours has a read-only root as well."""
    for name, service in COMPOSE["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only", False) or name == "grafana"


@pytest.mark.parametrize("expression", list(queries()))
def test_a_query_names_metrics_and_labels_that_are_exported(expression: str):
    """What Prometheus would never find would be an empty panel, or an alert that never fires."""
    names = set(re.findall(r"\b(?:digits|process)_[a-z_]+", re.sub(r'"[^"]*"', "", expression)))
    families = set()
    for name in names:
        stem = re.sub(r"_(bucket|sum|count)$", "", name)
        histogram = stem in FAMILIES and FAMILIES[stem].kind == "histogram"
        families.add(stem if histogram else name)
        assert (stem in FAMILIES and histogram and stem != name) or (name in FAMILIES and not histogram), name
    assert names or "up{" in expression
    labels = {label for family in families for label in FAMILIES[family].labels} | ADDED_LABELS
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
    chosen = {label for braces in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)[=!]", braces)}
    assert grouped | chosen <= labels


def test_every_alert_is_made_to_fire_and_not_to_fire():
    """By `promtool test rules`, which `make deployment` runs."""
    checks = [check for test in RULES_TEST["tests"] for check in test["alert_rule_test"]]
    alerts = {rule["alert"] for group in RULES["groups"] for rule in group["rules"]}
    assert {check["alertname"] for check in checks if check.get("exp_alerts")} == alerts
    assert {check["alertname"] for check in RULES_TEST["tests"][-1]["alert_rule_test"]} == alerts


def test_kubernetes_sets_no_setting_by_mistake():
    """It would make DIGITS_PORT of the Service's name; and what the manifest sets are settings."""
    [deployment] = yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "deployment.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    given = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    assert set(given) <= set(VARIABLES)
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > pause + float(given["DIGITS_GRACE_SECONDS"])


def test_docker_waits_longer_than_the_service():
    """Or calls in flight would be cut."""
    [seconds] = re.findall(r"\$\{STOP_GRACE_PERIOD:-(\d+)s\}", COMPOSE["x-digits"]["stop_grace_period"])
    assert float(seconds) > Settings.model_fields["grace_seconds"].default


def test_the_image_has_every_package_and_sets_what_there_is():
    """What pip is to find, .dockerignore lets through."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.partition(".")[0] for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    packages.add("client")
    let_through = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert packages <= let_through
    assert set(re.findall(r"DIGITS_[A-Z_]+", (ROOT / "Dockerfile").read_text())) <= set(VARIABLES)


def test_the_balancer_has_a_bound_on_connections():
    """Else a client that opens thousands takes the memory that it may have."""
    config = yaml.safe_load((ROOT / "deploy" / "balancer" / "envoy.yaml").read_text())
    [monitor] = config["overload_manager"]["resource_monitors"]
    assert monitor["name"] == "envoy.resource_monitors.global_downstream_max_connections"
    assert 0 < monitor["typed_config"]["max_active_downstream_connections"] <= 10_000
