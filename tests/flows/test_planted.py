"""Nothing that is read is executed: files planted wherever Prefect, MLflow or tempfit reads.

What is planted writes a mark when it runs; that it can is shown beside each.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import prefect.logging
import prefect.settings as prefect_settings
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from mlflow.models import Model
from prefect import flow, task
from prefect._internal.result_records import ResultRecord, ResultRecordMetadata
from prefect.cache_policies import INPUTS
from prefect.client.orchestration import get_client
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.serializers import PickleSerializer
from prefect.settings import temporary_settings

from flows.calibrate import calibrate
from flows.retrain import retrain
from flows.sweep import sweep
from tempfit import cli
from tempfit.calibration.filed import RESIDUALS_FILE
from tempfit.readings.paired import Readings, load_readings
from tempfit.tracking.store import open_store
from tests.conftest import T_C, T_U, THERMOMETER
from tests.flows.conftest import Command, run_python, runs_of, settings

EXACT_W = 152075 / 283314  # of the tutorial's readings, in whole numbers

pytestmark = pytest.mark.integration


def fire(mark: str) -> Readings:
    """What a planted pickle calls: it leaves a mark, and readings with which w would be half as large."""
    Path(mark).touch()
    return Readings(T_U, T_C / 2, "planted.csv")


class Planted:
    """Calls `fire` when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = str(mark)

    def __reduce__(self) -> tuple[object, ...]:
        return fire, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "fired"


@pytest.fixture
def storage(tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Prefect, told by its user to keep every result, with a planted one under every key that anything asks for."""
    metadata = ResultRecordMetadata(serializer=PickleSerializer(), storage_key="any")
    content = ResultRecord(metadata=metadata, result=Planted(mark)).serialize()

    async def aread(*_: object, **__: object) -> bytes:
        return content

    monkeypatch.setattr(ResultStore, "_exists", lambda *_, **__: True)
    monkeypatch.setattr(LocalFileSystem, "read_path", lambda *_, **__: content)
    monkeypatch.setattr(LocalFileSystem, "aread_path", aread)
    told = {
        prefect_settings.PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage",
        prefect_settings.PREFECT_RESULTS_PERSIST_BY_DEFAULT: True,
        prefect_settings.PREFECT_TASKS_DEFAULT_PERSIST_RESULT: True,
    }
    with temporary_settings(told):
        yield tmp_path / "storage"


@pytest.mark.usefixtures("prefect_server")
def test_a_planted_result_runs_where_results_are_kept(storage: Path, mark: Path) -> None:
    """What the tests below would show, if a task of tempfit asked for a result."""

    @task(persist_result=True, cache_policy=INPUTS)
    def ingest(source: str) -> Readings:
        return load_readings(source)

    @flow
    def careless() -> Readings:
        return ingest(str(THERMOMETER))

    assert careless().source == "planted.csv"
    assert mark.exists()
    assert list(storage.iterdir())  # the flow's own result, kept as its user asked


@pytest.mark.usefixtures("prefect_server")
def test_no_result_is_read_or_kept(
    storage: Path, mark: Path, mlruns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = "planted results"
    outcome = calibrate(str(THERMOMETER), settings(mlruns, experiment))
    assert outcome.calibration.w == pytest.approx(EXACT_W, rel=1e-9)
    folder = tmp_path / "sensors"
    folder.mkdir()
    (folder / "one.csv").write_bytes(THERMOMETER.read_bytes())
    monkeypatch.chdir(mlruns.parent)  # where a deployment's working folder is, its runs are
    state = retrain(str(folder), experiment, return_state=True)
    swept = sweep(str(THERMOMETER), ["learning_rate=0.1,0.5"], None, settings(mlruns, experiment))
    assert (state.is_completed(), swept.sweep.best is not None) == (True, True)
    told = [run.data.metrics["w"] for run in runs_of(mlruns, experiment) if "w" in run.data.metrics]
    assert len(told) >= 3
    assert told == pytest.approx([EXACT_W] * len(told), rel=1e-3)  # at 0.1 the loop stops near the optimum
    assert not mark.exists()
    assert [path.name for path in storage.rglob("*")] == []
    (folder / "one.csv").write_text("t_u,t_c\n1,warm\n")
    assert calibrate(str(folder / "one.csv"), settings(mlruns, experiment), return_state=True).is_failed()
    assert not mark.exists()  # (Prefect has written the exception, whatever it is told; nothing reads it)
    with get_client(sync_client=True) as client:  # nor does the server name a result that a retry would read
        assert client.read_flow_run(state.state_details.flow_run_id).state.data is None


def plant_extension(table: pa.Table, mark: Path, path: Path) -> None:
    """Write the table, its first column of a type that pyarrow once unpickled (CVE-2023-47248)."""
    metadata = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Planted(mark)),
    }
    schema = table.schema.set(0, table.schema.field(0).with_metadata(metadata))
    pq.write_table(pa.Table.from_arrays(table.columns, schema=schema), path)


def test_reading_commands_execute_nothing_of_a_run(
    mlruns: Path, mark: Path, command: Command, prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = calibrate(str(THERMOMETER), settings(mlruns, "planted model"))
    client, run_id = outcome.run.store.client, outcome.run.run_id
    (output,) = client.get_run(run_id).outputs.model_outputs
    model = Path(client.get_logged_model(output.model_id).artifact_location)
    client.create_registered_model("planted")
    version = client.create_model_version("planted", str(model), run_id, model_id=output.model_id).version

    described = yaml.safe_load((model / "MLmodel").read_text())
    described["flavors"]["python_function"] = {"loader_module": "planted_loader", "python_model": "python_model.pkl"}
    (model / "MLmodel").write_text(yaml.safe_dump(described))
    (model / "MLmodel").open("a").write(f"harm: !!python/object/apply:os.mkdir ['{mark}']\n")
    (model / "python_model.pkl").write_bytes(pickle.dumps(Planted(mark)))
    (tmp_path / "planted_loader.py").write_text(f"open({str(mark)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    artifacts = Path(outcome.artifacts["calibration.json"]).parent
    plant_extension(pq.read_table(artifacts / RESIDUALS_FILE), mark, artifacts / RESIDUALS_FILE)

    for name in (f"models:/planted/{version}", f"models:/{output.model_id}", run_id):
        code, out, err = command("predict", name, str(THERMOMETER), "--mlruns", str(mlruns))
        assert (code, out.count("\n")) == (0, len(T_U) + 1), err
        assert command("export", name, "--format", "json", "--mlruns", str(mlruns))[0] == 0
        assert command("report", name, "--mlruns", str(mlruns), "--output", str(tmp_path / "report.html"))[0] == 0
    assert not mark.exists()
    with pytest.raises(yaml.constructor.ConstructorError):  # MLflow's own loading stops there, too
        Model.load(str(model))


def test_a_table_executes_nothing(mark: Path, tmp_path: Path) -> None:
    plant_extension(pa.table({"t_u": T_U, "t_c": T_C}), mark, tmp_path / "readings.parquet")
    (tmp_path / "readings.csv").write_bytes(pickle.dumps(Planted(mark)))
    assert load_readings(tmp_path / "readings.parquet").n == len(T_U)
    with pytest.raises(Exception, match=r"readings\.csv"):
        load_readings(tmp_path / "readings.csv")
    assert not mark.exists()
    pickle.loads((tmp_path / "readings.csv").read_bytes())
    assert mark.exists()


LOGGING = """
version: 1
disable_existing_loggers: false
formatters: {planted: {"()": os.mkdir, path: fired}}
handlers: {console: {class: logging.StreamHandler, formatter: planted}}
root: {handlers: [console]}
"""
CHOOSERS = {
    "prefect.toml": '[logging]\nconfig_path = "planted.yml"\n',
    "pyproject.toml": '[tool.prefect.logging]\nconfig_path = "planted.yml"\n',
    ".env": "PREFECT_LOGGING_SETTINGS_PATH=planted.yml\n",
}


@pytest.mark.parametrize("chooser", CHOOSERS)
def test_the_working_folder_does_not_choose_prefects_logging(
    chooser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / chooser).write_text(CHOOSERS[chooser])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_TEST_MODE", raising=False)
    assert prefect_settings.Settings().logging.config_path.parent == Path(prefect.logging.__file__).parent
    monkeypatch.delenv("PREFECT_LOGGING_CONFIG_PATH")  # which importing flows has set
    assert prefect_settings.Settings().logging.config_path == Path("planted.yml")


def test_no_logging_configuration_in_prefects_home_is_loaded(tmp_path: Path) -> None:
    home = tmp_path / "home" / "prefect"
    home.mkdir(parents=True)
    (home / "logging.yml").write_text(LOGGING)
    configure = "import prefect.logging.configuration as logging; logging.setup_logging()"
    run_python(tmp_path, f"import flows; {configure}")
    assert not (tmp_path / "fired").exists()
    run_python(tmp_path, f"try:\n    {configure}\nexcept Exception: pass")  # Prefect alone does load it
    assert (tmp_path / "fired").exists()


def test_no_module_beside_the_readings_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first use makes the database by a process of MLflow's; servers and services are processes, too."""
    for name in ("mlflow", "uvicorn"):
        (tmp_path / f"{name}.py").write_text("open('fired', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    open_store(tmp_path / "mlruns")
    start = [sys.executable, "-m", "uvicorn", "--version"]
    monkeypatch.setattr(
        "tempfit.cli.command_line", lambda: lambda *_, **__: subprocess.run(start, check=True).returncode
    )
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main([])
    assert not (tmp_path / "fired").exists()
    monkeypatch.delenv("PYTHONSAFEPATH")
    subprocess.run(start)
    assert (tmp_path / "fired").exists()
