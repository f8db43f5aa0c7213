"""`digits learn`: the lesson in a terminal."""

import json

import pytest

from tests.support.processes import run_digits


def told(*arguments: str) -> list[dict]:
    done = run_digits("learn", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("activation", "rate"), [("sigmoid", 1), ("relu", 0.1)])
def test_it_learns(activation: str, rate: float):
    """From a tenth right by chance to most, epoch by epoch; the same seed tells the same."""
    arguments = ("--epochs=4", f"--activation={activation}", f"--learning-rate={rate}")
    epochs = told(*arguments)
    assert [each["epoch"] for each in epochs] == [0, 1, 2, 3, 4]
    assert epochs[0]["cost"] is None
    assert epochs[0]["held_back_accuracy"] < 0.3 < 0.7 < epochs[4]["held_back_accuracy"]
    assert epochs[4]["cost"] < epochs[1]["cost"] / 2
    assert told(*arguments) == epochs
    assert told(*arguments, "--seed=2") != epochs


def test_a_table_for_people():
    """A line for each epoch."""
    done = run_digits("learn", "--epochs=1")
    assert done.stdout.splitlines()[0] == "784-16-16-10, relu, 1400 digits to learn from, 400 to be judged by"
    assert [line.split()[0] for line in done.stdout.splitlines()[2:]] == ["0", "1"]


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "101"])
def test_a_step_has_a_length(rate: str):
    """Wrong usage is one sentence."""
    done = run_digits("learn", "--learning-rate", rate)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--learning-rate is" in done.stderr
