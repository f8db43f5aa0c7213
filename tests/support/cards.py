"""A card for tests that are about a model's pixels alone."""

from artifact.card import Card


def card(rows: int = 28, cols: int = 28, pixel_max: int = 255, preparation: str = "mass") -> Card:
    """The card of a model of two classes with this form of pixels."""
    return Card(
        name="m",
        version=1,
        rows=rows,
        cols=cols,
        pixel_max=pixel_max,
        pixel_scale=1.0,
        preparation=preparation,
        classes=("0", "1"),
        labels=(0, 1),
        layer_widths=(rows * cols, 2),
        activation="relu",
        dataset="none",
        dataset_sha256="",
        test_rows=1,
        accuracy=1.0,
        confusion=(),
        tolerance={"CPUExecutionProvider": 1e-5},
    )
