"""The parts of a Record that a curve is made of and made into, and the types that all parts share."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from tempfit.exact.basis import Basis
from tempfit.exact.curve import Curve
from tempfit.exact.scaling import Scaling

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

    @classmethod
    def of(cls, curve: Curve) -> Self:
        """The curve as it is kept: `to_curve` gives it back to the last bit."""
        return cls(
            factor=curve.basis.scaling.factor,
            center=curve.basis.scaling.center,
            t0=curve.basis.origin,
            matrix=tuple(map(tuple, curve.basis.matrix.tolist())),
            params=tuple(curve.params.tolist()),
            cofactor=tuple(map(tuple, curve.cofactor.tolist())),
            observation_sd=number(curve.observation_sd),
            degrees_of_freedom=number(curve.degrees_of_freedom),
            u_common=curve.u_common,
            coverage=curve.coverage,
            t_u_range=curve.t_u_range,
        )

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

    @classmethod
    def of(cls, curve: Curve, residual_sd: float | None, source: Source) -> Self:
        """Of the curve's coefficients. residual_sd: s of the residuals that it leaves."""
        covariance, is_line = curve.covariance, curve.is_line
        return cls(
            w=number(curve.u_w) if is_line else None,
            b=number(curve.u_b) if is_line else None,
            covariance=number(covariance[0, 1]) if is_line else None,
            correlation=number(curve.correlation) if is_line else None,
            coefficients=numbers(curve.uncertainties),
            covariance_matrix=tuple(map(numbers, covariance)),
            residual_sd=number(residual_sd),
            observation_sd=number(curve.observation_sd),
            degrees_of_freedom=number(curve.degrees_of_freedom),
            coverage=curve.coverage,
            coverage_factor=number(float(curve.coverage_factor())),
            common=curve.u_common,
            t0=curve.basis.origin,
            source=source,
        )


def number(value: float | None) -> float | None:
    """None for what JSON cannot say: NaN and infinities."""
    return float(value) if value is not None and math.isfinite(value) else None


def numbers(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    """Each of (n,) as `number` has it."""
    return tuple(map(number, values.tolist()))
