"""The tables of runtimes and of kinds of models are complete."""

from typing import get_args

import pytest

from common.settings.consumer import Device, Runtime
from engine.models.folder import Kind
from engine.models.loading import LOADERS
from engine.runtimes.precision import Precision
from engine.runtimes.table import REFERENCE, RUNTIMES, runtime_for


def test_every_runtime_of_the_settings_has_a_row() -> None:
    assert set(RUNTIMES) == set(get_args(Runtime))


def test_every_kind_of_model_has_a_loader() -> None:
    assert set(LOADERS) == set(get_args(Kind))


def test_every_device_of_the_settings_has_a_runtime() -> None:
    assert set().union(*(row.devices for row in RUNTIMES.values())) == set(get_args(Device))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_every_precision_of_files_has_a_runtime(precision: Precision) -> None:
    assert precision in runtime_for(precision).precisions


def test_what_the_others_are_compared_with_computes_the_precision_of_exports() -> None:
    assert "float32" in REFERENCE.precisions
