"""The page of models, from the cards under models/."""

from pathlib import Path

from artifact.card import Card
from docs.generate.markdown import code, head, table

MODELS = Path(__file__).resolve().parents[2] / "models"


def cards() -> list[tuple[Path, Card]]:
    """The folder and the card of each committed version, by name and version."""
    folders = [path.parent for path in MODELS.glob("*/*/card.json")]
    folders.sort(key=lambda folder: (folder.parent.name, int(folder.name)))
    return [(folder, Card.from_json((folder / "card.json").read_text())) for folder in folders]


def page() -> str:
    """One row for each committed version."""
    rows = []
    for folder, card in cards():
        name = f"{folder.parent.name}:{folder.name}"
        network = "-".join(map(str, card.layer_widths)) + f", {card.activation}"
        size = (folder / "model.onnx").stat().st_size / 1e6
        report = f"[report](../../models/{folder.parent.name}/{folder.name}/report/report.md)"
        variants = ", ".join(sorted(path.name.split(".")[1] for path in folder.glob("model.*.onnx")))
        rows.append(
            (
                code(name),
                f"{card.members} × {network}" if card.members > 1 else network,
                f"{card.parameters:,}",
                f"{size:.2f} MB",
                f"{100 * card.accuracy:.2f} % of {card.test_rows:,}",
                variants,
                report,
            )
        )
    columns = ("model", "network", "parameters", "size", "right on the test set", "variants", "")
    return "\n".join(
        (
            head("Models", "the cards under `models/`"),
            "The test set is that of the model's data set: MNIST's, or for `digits-8x8` a part of scikit-learn's 8×8 "
            "digits. [The models](../explanation/models.md) says what each is for.\n",
            table(columns, rows),
        )
    )
