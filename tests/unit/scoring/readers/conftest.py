"""Fifty real digits for tests of readers."""

import pytest


@pytest.fixture
def pixels(digits):
    return digits[0][:50]


@pytest.fixture
def labels(digits):
    return digits[1][:50]
