"""The manifests against the schemas that Kubernetes publishes."""

import kubernetes_validate
import pytest
import yaml

from tests.support.processes import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
DOCUMENTS = [
    pytest.param(document, id=f"{path.stem} {document['metadata']['name']}")
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.stem != "kustomization"
    for document in yaml.safe_load_all(path.read_text())
]


@pytest.mark.parametrize("version", ["1.33", "1.37"])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_manifest_is_valid(document: dict, version: str):
    """Strictly: a key that Kubernetes does not know is a mistake."""
    kubernetes_validate.validate(document, version, strict=True)


def test_a_mistake_is_found():
    """The check can fail."""
    [deployment] = [each.values[0] for each in DOCUMENTS if each.values[0]["kind"] == "Deployment"]
    spoilt = deployment | {"spec": deployment["spec"] | {"replica": 3}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(spoilt, "1.37", strict=True)
