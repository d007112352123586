"""Two calibrations of a fleet beside each other: which sensors changed by more than their uncertainties."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tempfit.errors import RunsError
from tempfit.exact.basis import Basis
from tempfit.exact.curve import Curve
from tempfit.fleet.curves import FleetCurves

Floats = NDArray[np.float64]
PLACES = 11  # within the readings that both were calibrated over; of a line, the ends do
ROUNDED = 1e-13  # of a temperature: uncertainties that are smaller are rounding


@dataclass(frozen=True, eq=False)
class FleetComparison:
    """The sensors that are calibrated in both tables, (sensors,) each, in the order of their names.

    first, second: their places in the two tables. dw, db: by how much w and b (of a polynomial, the coefficients of
    t_u − t0 and 1) are more in the second; u_dw, u_db: standard uncertainties of these. off: the largest difference of
    temperature within the readings that both were calibrated over, and e_n: E_n there, |difference| / √(U₁² + U₂²) with
    the expanded uncertainties of both (ISO 13528:2022); NaN where no reading is in both ranges. p: the probability of
    so large a difference of all coefficients together if nothing changed; NaN where nothing tells an uncertainty.
    q: p adjusted over all sensors. fdr: the share of unchanged sensors that may be among those changed.
    """

    before: FleetCurves
    after: FleetCurves
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    dw: Floats
    db: Floats
    u_dw: Floats
    u_db: Floats
    off: Floats
    e_n: Floats
    p: Floats
    q: Floats
    fdr: float

    def __len__(self) -> int:
        return len(self.first)

    @cached_property
    def has_changed(self) -> NDArray[np.bool_]:
        """(sensors,), whether by more than the uncertainties of both."""
        return self.q <= self.fdr

    @cached_property
    def worst(self) -> NDArray[np.int64]:
        """(sensors,), their positions here, the surest change first; those without a p are not among them."""
        order = np.lexsort((-np.nan_to_num(self.e_n), self.p))
        return order[: int((~np.isnan(self.p)).sum())]

    @property
    def names(self) -> pa.StringArray:
        return self.before.names.take(pa.array(self.first))

    @cached_property
    def appeared(self) -> pa.StringArray:
        """Those that are calibrated in the second table alone."""
        return _alone(self.after, self.before)

    @cached_property
    def disappeared(self) -> pa.StringArray:
        """Those that are calibrated in the first table alone."""
        return _alone(self.before, self.after)


def _alone(here: FleetCurves, there: FleetCurves) -> pa.StringArray:
    place = there.find(here.names)
    is_there = (place >= 0) & there.has_curve[place] if len(there.names) else np.zeros(len(place), dtype=bool)
    return here.names.filter(pa.array(here.has_curve & ~is_there))


def compare_fleets(before: FleetCurves, after: FleetCurves, fdr: float) -> FleetComparison:
    """Compare the sensors that both have a curve of.

    Raises RunsError where the curves are not alike: of another degree, another unit, or about another reference point.
    """
    _refuse_others(before, after)
    place = after.find(before.names)
    in_both = (place >= 0) & before.has_curve
    in_both[in_both] &= after.has_curve[place[in_both]]
    first = np.flatnonzero(in_both)
    second = place[first]
    one, other = before.take(first), after.take(second)
    difference = other.coefficients[:, -2:] - one.coefficients[:, -2:]
    variance = np.square(one.uncertainties[:, -2:]) + np.square(other.uncertainties[:, -2:])
    off, e_n = _in_temperature(one, other)
    p = _p_of_change(one, other)
    return FleetComparison(
        before=before,
        after=after,
        first=first,
        second=second,
        dw=difference[:, 0],
        db=difference[:, 1],
        u_dw=np.sqrt(variance[:, 0]),
        u_db=np.sqrt(variance[:, 1]),
        off=off,
        e_n=e_n,
        p=p,
        q=_adjusted(p),
        fdr=fdr,
    )


def _refuse_others(before: FleetCurves, after: FleetCurves) -> None:
    one, other = before.config, after.config
    if before.curve.basis.n_terms != after.curve.basis.n_terms:
        raise RunsError(f"{before.table} and {after.table} are of another degree: there is nothing to compare")
    for name in ("t0", "y_unit", "x_unit"):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine != theirs:
            raise RunsError(f"{before.table} and {after.table}: `{name}` is {mine} in one and {theirs} in the other")


def _p_of_change(one: Curve, other: Curve) -> Floats:
    """(members,), of dᵀ C⁻¹ d / k with d the differences of the k coefficients and C = C₁ + C₂ their covariance.

    It is F with k and ν degrees of freedom for a common variance (Draper and Smith, Applied Regression Analysis, 3rd
    ed., chapter 5). Of two variances ν is taken to be the smaller of their degrees of freedom, by which p errs on the
    safe side (of one coefficient: Mickey and Brown, Bounds on the distribution functions of the Behrens-Fisher
    statistic, Ann. Math. Stat. 37, 1966). Welch's and Satterthwaite's approximate ν does not: of 5 readings against 24,
    p < 0.001 comes seven times as often as it should, and in a fleet that is what counts. What references have in
    common (u_common) is taken for independent in the two. χ² takes the place of F where both ν are infinite.
    """
    from scipy.special import chdtrc, fdtrc

    frame = Basis(one.basis.scaling, np.broadcast_to(np.eye(one.basis.n_terms), one.basis.matrix.shape))
    params, covariances = [], []
    with np.errstate(all="ignore"):
        for curve in (one, other):
            change = frame.change_to(curve.basis)
            params.append((change @ curve.params[..., None])[..., 0])
            covariances.append(change @ curve.params_covariance @ change.mT)
        whole = covariances[0] + covariances[1]
        whole[:, -1, -1] += one.u_common**2 + other.u_common**2
        off, n_terms = params[1] - params[0], one.basis.n_terms
        is_told = _is_told(whole, params)
        whole[~is_told] = np.eye(n_terms)
        statistic = np.einsum("mi,mi->m", off, np.linalg.solve(whole, off[..., None])[..., 0])
        freedom = np.minimum(one.degrees_of_freedom, other.degrees_of_freedom)
        p = np.where(np.isinf(freedom), chdtrc(n_terms, statistic), fdtrc(n_terms, freedom, statistic / n_terms))
    return np.where(is_told, p, np.nan)


def _is_told(covariance: Floats, params: list[Floats]) -> NDArray[np.bool_]:
    """(members,), whether uncertainties are known, and are more than rounding."""
    size = np.abs(params[0]).sum(axis=1)
    variances = np.diagonal(covariance, axis1=1, axis2=2)
    return np.asarray((np.sqrt(variances) > ROUNDED * size[:, None]).all(axis=1) & np.isfinite(covariance).all((1, 2)))


def _in_temperature(one: Curve, other: Curve) -> tuple[Floats, Floats]:
    """(members,), the largest difference (signed), and E_n where it is."""
    low, high = (ends(one.t_u_range[k], other.t_u_range[k]) for k, ends in enumerate((np.maximum, np.minimum)))
    high = np.where(low < high, high, np.nan)
    t_u = np.linspace(low, high, 2 if one.is_line else PLACES, axis=-1)
    with np.errstate(all="ignore"):
        off = other.predict(t_u) - one.predict(t_u)
        where = np.abs(np.nan_to_num(off)).argmax(axis=1)[:, None]
        at = np.take_along_axis(t_u, where, axis=1)
        off = np.take_along_axis(off, where, axis=1)[:, 0]
        expanded = [(curve.coverage_factor(u) * u)[:, 0] for curve in (one, other) for u in [curve.u_mean(at)]]
        return off, np.abs(off) / np.hypot(*expanded)


def _adjusted(p: Floats) -> Floats:
    from scipy.stats import false_discovery_control

    q = np.full(len(p), np.nan)
    is_told = ~np.isnan(p)
    if is_told.any():
        q[is_told] = false_discovery_control(p[is_told])
    return q
