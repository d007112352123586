"""The plan of the house: small modules, tests beside each package, and imports that run one way (pyproject.toml)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

MOST_LINES, MOST_LAYERS = 300, 12
PACKAGES = sorted(path.parent for path in (ROOT / "tempfit").glob("*/__init__.py"))


def test_no_module_is_long() -> None:
    modules = [path for root in ("tempfit", "flows") for path in (ROOT / root).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


@pytest.mark.parametrize("package", [*PACKAGES, ROOT / "flows"], ids=lambda path: path.name)
def test_every_package_has_a_folder_of_tests(package: Path) -> None:
    assert list((ROOT / "tests" / package.name).glob("test_*.py"))


def test_imports_run_one_way_on_few_layers_without_exception() -> None:
    """What `make check` holds the imports to, by import-linter."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (layers,) = [contract for contract in linter["contracts"] if contract["type"] == "layers"]
    (circles,) = [contract for contract in linter["contracts"] if contract["type"] == "acyclic_siblings"]
    assert len(layers["layers"]) <= MOST_LAYERS
    assert set(layers) | set(circles) == {"name", "type", "containers", "layers", "ancestors"}
    assert not any("ignore_imports" in contract for contract in linter["contracts"])
    assert set(linter["root_packages"]) == set(circles["ancestors"]) == {"tempfit", "flows"}
    placed = {name for layer in layers["layers"] for name in layer.replace("|", ":").replace(" ", "").split(":")}
    modules = {path.stem for path in (ROOT / "tempfit").glob("*.py")} - {"__init__"}
    assert placed == {f"tempfit.{name}" for name in modules | {package.name for package in PACKAGES}} | {"flows"}
