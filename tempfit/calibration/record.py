"""A calibration that lasts, typed: what a calibration.json holds, `--json` prints, and a row of a table of them says.

Summary, report, export, prediction and MLflow's metrics start from it, and from nothing that made it. Numbers are
finite; None stands where there is none (degrees of freedom: where they are infinite).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from tempfit.calibration.json_values import digest_of
from tempfit.config import CalibrationConfig
from tempfit.exact.basis import Basis
from tempfit.exact.curve import Curve
from tempfit.exact.scaling import Scaling
from tempfit.words import Outcome, Status, Verdict

SCHEMA: Literal[1] = 1  # a new one for every change that a reader could stumble over
LARGEST = 2**63 - 1  # that a table's whole numbers hold

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Coverage = Annotated[float, Field(gt=0, lt=1)]
Vector = Annotated[tuple[float, ...], Field(min_length=1)]
Matrix = Annotated[tuple[Vector, ...], Field(min_length=1)]
Raw = Annotated[tuple[float | None, ...], Field(min_length=1)]  # of raw powers, which float64 cannot always say
RawMatrix = Annotated[tuple[Raw, ...], Field(min_length=1)]
Range = tuple[float, float]
Source = Literal["residuals", "stated"]  # of uncertainties
Freedom = Annotated[Positive, PlainSerializer(lambda value: int(value) if value.is_integer() else value)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Number = Annotated[int, Field(ge=1, le=LARGEST)]  # counted from 1
ReadingCount = Annotated[int, Field(ge=2, le=LARGEST)]  # with less, there is no line
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Part(BaseModel):
    """Frozen and strict: what it does not have, and what is of another type, is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)


class ScaledRecord(Part):
    """Parameters in the units trained in, `t_un = factor · (t_u − center)`; None of a network, whose model has them.

    w, b: of a line. params: of a line or a polynomial.
    """

    w: float | None
    b: float | None
    params: Vector | None
    factor: Positive
    center: float


class UncertaintyRecord(Part):
    """Standard uncertainties of the coefficients, and what they are made of; those of a line, by name, too."""

    w: NotNegative | None
    b: NotNegative | None
    covariance: float | None
    correlation: Annotated[float, Field(ge=-1.000001, le=1.000001)] | None
    coefficients: Annotated[tuple[NotNegative | None, ...], Field(min_length=1)]
    covariance_matrix: RawMatrix
    residual_sd: NotNegative | None
    observation_sd: NotNegative | None
    degrees_of_freedom: Freedom | None
    coverage: Coverage
    coverage_factor: Positive | None
    common: NotNegative
    t0: float
    source: Source = Field(validation_alias="from", serialization_alias="from")


class ExactRecord(Part):
    """The exact least-squares solution; of a line beside an mlp."""

    w: float | None
    b: float | None
    coefficients: Raw
    loss: NotNegative | None
    r_squared: Annotated[float, Field(le=1)] | None
    uncertainty: UncertaintyRecord


class OptimumRecord(Part):
    """Where the loss that is trained is lowest, without penalties: Huber's, else that of exact least squares.

    uncertainties: (terms,), of the coefficients. observation_sd: of one observation.
    """

    coefficients: Raw
    uncertainties: Annotated[tuple[NotNegative | None, ...], Field(min_length=1)]
    observation_sd: NotNegative | None


class CurveRecord(Part):
    """A `Curve` to the last bit: what predictions, reports and devices start from."""

    factor: Positive
    center: float
    t0: float
    matrix: Matrix
    params: Vector
    cofactor: Matrix
    observation_sd: NotNegative | None
    degrees_of_freedom: Positive | None
    u_common: NotNegative
    coverage: Coverage
    t_u_range: Range

    def to_curve(self) -> Curve:
        """The curve itself."""
        sd, freedom = self.observation_sd, self.degrees_of_freedom
        return Curve(
            basis=Basis(Scaling(self.factor, self.center), np.array(self.matrix), self.t0),
            params=np.array(self.params),
            cofactor=np.array(self.cofactor),
            observation_sd=math.nan if sd is None else sd,
            degrees_of_freedom=math.inf if freedom is None else freedom,
            u_common=self.u_common,
            coverage=self.coverage,
            t_u_range=self.t_u_range,
        )


class CheckRecord(Part):
    """As `tempfit.calibration.checks` tells it."""

    name: Annotated[str, Field(min_length=1)]
    measure: str
    figure: float | None
    p: Probability | None
    verdict: Verdict
    sentence: str


class RobustRecord(Part):
    """After Huber's loss: where it grows linearly, its standard deviation, and the readings set aside, from 1."""

    delta: Positive
    observation_sd: NotNegative | None
    set_aside: tuple[Number, ...]


class ScaleRecord(Part):
    """A known scale beside the line: w and b take a reading in it to °C; the test that the line is this one."""

    scale: Annotated[str, Field(min_length=1)]
    symbol: Annotated[str, Field(min_length=1)]
    w: float
    b: float
    statistic: NotNegative | None = Field(validation_alias="F", serialization_alias="F")
    p: Probability
    compatible: bool


class ValidationRecord(Part):
    """What the readings say that were held out. diverged: how many of the fits that did not see them did."""

    method: Annotated[str, Field(min_length=1)]
    n: Number
    loss: NotNegative | None
    lowest_loss: NotNegative | None
    lowest_at: Count
    overfits: bool
    diverged: Count
    sentence: str


class DataRecord(Part):
    """The readings: all of them, those held out, too. weighted_by: columns of uncertainties that were used."""

    source: str
    sha256: Sha256
    n: ReadingCount
    n_dropped: Count
    weighted_by: tuple[Literal["u_c", "u_u"], ...]
    t_u_range: Range
    t_c_range: Range


class EvidenceRecord(Part):
    """What the fit needs of the readings trained on: their number, range, and triangular factor (columns, columns) of
    the rows `[t_un², t_un, 1 | t_c]`, `t_un = scale · (t_u − center)`."""

    n: ReadingCount
    t_u_range: Range
    t_c_range: Range | None
    center: float
    scale: Positive
    factor: Matrix


class Record(Part):
    """One calibration, as README describes it under `--json`.

    thermometer: what was calibrated. grown: how many times the loss of a fit on its way to overflow grew.
    """

    schema_: Literal[1] = Field(SCHEMA, validation_alias="schema", serialization_alias="schema")
    thermometer: Annotated[str, Field(min_length=1)]
    status: Status
    outcome: Outcome
    why: str
    diverged_at: Number | None
    grown: NotNegative | None
    model: Literal["line", "polynomial", "mlp"]
    w: float | None
    b: float | None
    coefficients: Raw | None
    loss: NotNegative | None
    rmse: NotNegative | None
    n: ReadingCount
    n_epochs: Count
    close_at: Number | None
    scaled: ScaledRecord
    exact: ExactRecord
    optimum: OptimumRecord
    uncertainty: UncertaintyRecord | None
    curve: CurveRecord | None
    usable: bool
    checks: tuple[CheckRecord, ...]
    chi_squared: NotNegative | None
    robust: RobustRecord | None
    scales: tuple[ScaleRecord, ...]
    excess_loss: float | None
    critical_learning_rate: NotNegative | None
    condition_number: Annotated[float, Field(ge=0.999)] | None
    epochs_needed: Number | None
    overflow_epoch: Number | None
    advice: str
    validation: ValidationRecord | None
    data: DataRecord
    config: CalibrationConfig
    evidence: EvidenceRecord | None

    @property
    def is_linear(self) -> bool:
        """Whether the model is a sum of terms, so that it has coefficients and an exact optimum."""
        return self.model != "mlp"

    @property
    def exploded(self) -> bool:
        """Whether the loss overflowed, or was on its way there when the epochs were used up."""
        return self.outcome is Outcome.EXPLODES or self.rmse is None or math.isinf(self.rmse * self.rmse)

    @property
    def failed(self) -> bool:
        """Whether there is nothing to use: it exploded, or a fit that validates it did."""
        seen = self.validation
        return self.exploded or (seen is not None and (seen.diverged > 0 or seen.loss is None))

    @property
    def is_stated(self) -> bool:
        """Whether the uncertainties are made from those stated, and not from the residuals."""
        return self.exact.uncertainty.source == "stated"

    @property
    def residual_freedom(self) -> int:
        """Degrees of freedom of the exact solution's residuals: readings less terms."""
        return self.n - len(self.exact.coefficients)

    @property
    def warnings(self) -> list[str]:
        """Why it should not be used, by its own checks; empty where they have nothing against it."""
        if self.usable:
            return []
        failed = [f"{check.name}: {check.sentence}" for check in self.checks if check.verdict is Verdict.FAILS]
        return ["by its own checks, this calibration should not be used", *failed]

    @cached_property
    def digest(self) -> str:
        """Of all that it holds: see `digest_of`."""
        return digest_of(self._values())

    def as_dict(self) -> dict[str, Any]:
        """As JSON values, with the digest that tells a reader whether anything was changed since."""
        return {**self._values(), "digest": self.digest}

    def _values(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)
