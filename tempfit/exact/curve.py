"""A calibration curve, the temperature as a function of the reading, with the uncertainty that belongs to it.

It knows nothing of how it was found: exact least squares and gradient descent both end in one, and predictions,
reports and devices start from one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tempfit.errors import SettingsError
from tempfit.exact.basis import Basis
from tempfit.exact.matrices import product, transform
from tempfit.exact.scaling import along


@dataclass(frozen=True, eq=False)
class Inverse:
    """Readings that belong to temperatures, of the shape of those.

    t_u: the reading. u: its standard uncertainty, for a single observation. low, high: ends of its interval.
    """

    t_u: NDArray[np.float64]
    u: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """A line or polynomial with its standard uncertainties, after JCGM 100:2008 (GUM).

    basis: the terms, where they are best conditioned. params: (terms,), of those terms.
    cofactor: (terms, terms), the covariance of params in units of observation_sd²: (XᵀX)⁻¹ where all weigh the same.
    observation_sd: standard uncertainty of one observation of t_c: the residuals' s, or as stated; where those stated
    differ, their root mean square, as of a new observation nothing else is known; NaN where nothing tells it.
    degrees_of_freedom: of observation_sd; inf where it was stated.
    u_common: standard uncertainty that all references have in common. It adds to the intercept, whatever the readings.
    coverage: probability of the intervals. t_u_range: lowest and highest reading that the curve was fitted to.

    Several members' curves at once have an axis (members,) in front of all arrays, and of what they make of readings;
    numbers are (members,) then.
    """

    basis: Basis
    params: NDArray[np.float64]
    cofactor: NDArray[np.float64]
    observation_sd: Any
    degrees_of_freedom: Any
    u_common: float = 0.0
    coverage: float = 0.95
    t_u_range: tuple[Any, Any] = (-math.inf, math.inf)

    def __getitem__(self, member: int) -> Self:
        """One member's curve, of numbers."""
        own: dict[str, Any] = {"u_common": self.u_common, "coverage": self.coverage}
        own["t_u_range"] = tuple(float(end[member]) for end in self.t_u_range)
        for name in (field.name for field in fields(self) if field.name not in own):
            value = getattr(self, name)[member]
            own[name] = float(value) if isinstance(value, np.floating) else value
        return type(self)(**own)

    @property
    def is_line(self) -> bool:
        return self.basis.n_terms == 2

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """(terms,), of raw powers of t_u − t0, the highest first: (w, b) of a line."""
        return self.basis.to_raw(self.params)

    @property
    def params_covariance(self) -> NDArray[np.float64]:
        """(terms, terms), of params, without what the references have in common."""
        return np.square(self.observation_sd)[..., None, None] * self.cofactor

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(terms, terms), of `coefficients`, with what the references have in common."""
        fold = self.basis.fold
        with np.errstate(over="ignore", invalid="ignore"):  # not finite where float64 cannot say
            covariance = product(product(fold, self.params_covariance), fold.mT)
        covariance[..., -1, -1] += self.u_common**2
        return covariance

    @property
    def uncertainties(self) -> NDArray[np.float64]:
        """(terms,), standard uncertainties of `coefficients`."""
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.diagonal(self.covariance, axis1=-2, axis2=-1))

    @property
    def w(self) -> Any:
        """The slope of a line; of a polynomial, its coefficient of t_u − t0."""
        return _number(self.coefficients[..., -2])

    @property
    def b(self) -> Any:
        """The temperature at t_u = t0: the intercept, where t0 is 0."""
        return _number(self.coefficients[..., -1])

    @property
    def u_w(self) -> Any:
        """Standard uncertainty of w."""
        return _number(self.uncertainties[..., -2])

    @property
    def u_b(self) -> Any:
        """Standard uncertainty of b."""
        return _number(self.uncertainties[..., -1])

    @property
    def correlation(self) -> Any:
        """Correlation coefficient r(w, b); NaN when the fit is perfect."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return _number(self.covariance[..., -2, -1] / (self.uncertainties[..., -2] * self.uncertainties[..., -1]))

    def moved(self, params: NDArray[np.float64], observation_sd: Any, degrees_of_freedom: Any = None) -> Curve:
        """A curve of the same terms with other parameters, whose uncertainty belongs to another observation_sd.

        It is no more than a Curve: what else is known of this one (a loss, an r²) is not true of that.
        """
        kept = {field.name: getattr(self, field.name) for field in fields(Curve)}
        freedom = self.degrees_of_freedom if degrees_of_freedom is None else degrees_of_freedom
        own = {"params": params, "observation_sd": observation_sd, "degrees_of_freedom": freedom}
        return Curve(**{**kept, **own})

    def about(self, t0: float) -> Self:
        """The same curve with its coefficients about another reference point."""
        return replace(self, basis=replace(self.basis, origin=t0))

    def predict(self, t_u: ArrayLike) -> NDArray[np.float64]:
        """The temperature at t_u, any shape (of several members' curves, (members, rows), as for all of readings)."""
        features = self.basis.features(np.asarray(t_u))
        return features @ self.params if self.params.ndim == 1 else transform(features, self.params)

    def u_mean(self, t_u: ArrayLike) -> NDArray[np.float64]:
        """Standard uncertainty of the curve at t_u, any shape: sqrt(xᵀ C x), x being the terms at t_u, and u_common."""
        return self._with_common(self._variance(self.basis.features(np.asarray(t_u))))

    def u_prediction(self, t_u: ArrayLike) -> NDArray[np.float64]:
        """Standard uncertainty of a single new observation at t_u: the curve's and the observation's together."""
        u_mean = self.u_mean(t_u)
        return np.hypot(u_mean, along(self.observation_sd, u_mean))

    def coverage_factor(self, u: ArrayLike = 0.0) -> NDArray[np.float64]:
        """k for the standard uncertainty u, any shape, of which u_common is a part: U = k u has the coverage.

        Of Student's t with the degrees of freedom of observation_sd, and more where u_common, which has infinitely
        many, is a part of u (Welch–Satterthwaite: JCGM 100:2008, G.4.1). For u = 0, as without u_common.
        """
        from scipy.special import stdtrit  # costs the start of the program a tenth of a second

        u = np.asarray(u, dtype=np.float64)
        freedom = along(self.degrees_of_freedom, u)
        if self.u_common:
            with np.errstate(divide="ignore", invalid="ignore"):
                share = 1 - (self.u_common / u) ** 2  # of u², from the fit
                freedom = np.where((u > 0) & np.isfinite(freedom), freedom / np.square(share), freedom)
        if np.ndim(freedom) and not self.u_common:  # of several members: few freedoms for many
            few, which = np.unique(freedom, return_inverse=True)
            factors = stdtrit(few, (1 + self.coverage) / 2)[which].reshape(np.shape(freedom))
        else:
            factors = stdtrit(freedom, (1 + self.coverage) / 2)
        return np.broadcast_to(factors, u.shape)

    def invert(self, t_c: ArrayLike) -> Inverse:
        """The reading at which a single new observation of a line would be t_c, any shape, with its interval.

        The interval holds every reading whose prediction band holds t_c (Fieller, Some problems in interval estimation,
        J. R. Stat. Soc. B 16, 1954; Draper and Smith, Applied Regression Analysis, 3rd ed., section 3.2), with the
        coverage factor at the reading itself, which differs from those at the ends where there is a u_common. Where the
        slope is not significant, it has no ends: −inf and inf. Where nothing tells the uncertainty, u and ends are NaN.
        Of a single curve. Raises SettingsError for a polynomial.
        """
        if not self.is_line:
            raise SettingsError(
                f"a polynomial of degree {self.basis.n_terms - 1} is not inverted: calibrate the other way round, with "
                "the names of `x` and `y` exchanged"
            )
        w, b = self.params
        (ww, wb), _ = self.params_covariance
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (np.asarray(t_c, dtype=np.float64) - b) / w  # the scaled reading
            variance = self._variance(np.stack([z, np.ones_like(z)], axis=-1))
            u = np.hypot(self._with_common(variance), self.observation_sd)
            k = self.coverage_factor(u)
            # (w d)² = k² u²(z + d), for the distance d from z to an end: a d² - 2 h d - (k u)² = 0
            a = w**2 - k**2 * ww
            h = k**2 * (ww * z + wb)
            half = np.sqrt(h**2 + a * (k * u) ** 2)
            ends = np.stack([z + (h - half) / a, z + (h + half) / a])
        ends = np.where(a <= 0, np.array([-np.inf, np.inf]).reshape(2, *[1] * z.ndim), ends)
        scaling = self.basis.scaling
        low, high = ends / scaling.factor + scaling.center
        return Inverse(z / scaling.factor + scaling.center, u / abs(w * scaling.factor), low, high)

    def confidence_band(self, t_u: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the curve itself lies at t_u: lower and upper end, of the shape of t_u."""
        return self._band(t_u, self.u_mean(t_u))

    def prediction_band(self, t_u: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where a single new observation at t_u lies: lower and upper end, of the shape of t_u."""
        return self._band(t_u, self.u_prediction(t_u))

    def is_extrapolated(self, t_u: ArrayLike) -> NDArray[np.bool_]:
        """Whether t_u, any shape, lies outside of the readings that the curve was fitted to."""
        low, high = self.t_u_range
        values = np.asarray(t_u)
        return np.asarray((values < along(low, values)) | (values > along(high, values)))

    def _variance(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…,), of the curve at terms x (…, terms), without u_common."""
        return np.einsum("...i,...i->...", x @ self.params_covariance, x)

    def _with_common(self, variance: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sqrt(variance + self.u_common**2)

    def _band(self, t_u: ArrayLike, u: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        t_c, half = self.predict(t_u), self.coverage_factor(u) * u
        return t_c - half, t_c + half


def _number(value: NDArray[np.float64]) -> Any:
    """A float of what has no axis; else the array."""
    return value if value.ndim else float(value)
