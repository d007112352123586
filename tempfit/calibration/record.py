"""A calibration that lasts, typed: what a calibration.json holds, `--json` prints, and a row of a table of them says.

Summary, report, export, prediction and MLflow's metrics start from it, and from nothing that made it. Numbers are
finite; None stands where there is none (degrees of freedom: where they are infinite).
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

from pydantic import Field

from tempfit.calibration.json_values import digest_of
from tempfit.calibration.parts import (
    Count,
    CurveRecord,
    Matrix,
    NotNegative,
    Number,
    Part,
    Positive,
    Probability,
    Range,
    Raw,
    ReadingCount,
    Sha256,
    UncertaintyRecord,
    Vector,
)
from tempfit.config import CalibrationConfig
from tempfit.words import Outcome, Status, Verdict

SCHEMA: Literal[1] = 1  # a new one for every change that a reader could stumble over


class ScaledRecord(Part):
    """Parameters in the units trained in, `t_un = factor · (t_u − center)`; None of a network, whose model has them.

    w, b: of a line. params: of a line or a polynomial.
    """

    w: float | None
    b: float | None
    params: Vector | None
    factor: Positive
    center: float


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
    """The readings: all of them, those held out, too. weighted_by: columns of uncertainties that were used.

    sha256: of their values; of a sensor of a fleet, of the fleet's. t_c_range: None where evidence alone was kept.
    """

    source: str
    sha256: Sha256
    n: ReadingCount
    n_dropped: Count
    weighted_by: tuple[Literal["u_c", "u_u"], ...]
    t_u_range: Range
    t_c_range: Range | None


class EvidenceRecord(Part):
    """What the fit needs of the readings trained on, as `tempfit.exact.evidence.Evidence` has it of one member: further
    readings are merged into it."""

    n: ReadingCount
    t_u_range: Range
    largest: NotNegative
    center: float
    scale: Positive
    factor: Matrix
    variance: Positive | None
    mean_variance: Positive | None


class Record(Part):
    """One calibration, as docs/json.md describes it.

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
    def found_chi_squared(self) -> float:
        """χ² of what gradient descent found, as `chi_squared` is of the exact solution; NaN where none is told."""
        exact, rmse = self.exact.loss, self.rmse
        if self.chi_squared is None or rmse is None or not exact:
            return math.nan if self.chi_squared is None else self.chi_squared
        return self.chi_squared * (rmse * rmse / exact)

    @property
    def residual_freedom(self) -> int:
        """Degrees of freedom of the exact solution's residuals: readings less terms."""
        return self.n - len(self.exact.coefficients)

    @property
    def coefficient_names(self) -> list[str]:
        """w and b of a line; c2, c1, c0 of a polynomial of degree 2; none of a network."""
        n_terms = len(self.coefficients or ())
        return ["w", "b"] if self.model == "line" else [f"c{power}" for power in reversed(range(n_terms))]

    @property
    def warnings(self) -> list[str]:
        """Why it should not be used, by its own checks; empty where they have nothing against it."""
        if self.usable:
            return []
        failed = [f"{check.name}: {check.sentence}" for check in self.checks if check.verdict is Verdict.FAILS]
        return ["by its own checks, this calibration should not be used", *failed]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values, with their digest, which tells a reader whether any was changed since."""
        values = self.model_dump(mode="json", by_alias=True)
        return {**values, "digest": digest_of(values)}

    def as_text(self) -> str:
        """The content of a calibration.json."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
