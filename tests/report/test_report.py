"""The report as a page and a PDF: what it says, how numbers are stated, and that texts from outside stay in place."""

from __future__ import annotations

import io
import math
import os
import re
import time
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pypdfium2
import pytest

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.filed import Filed
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.recording import record_of
from tempfit.errors import RunsError, SettingsError
from tempfit.report import Fields, gather, pdf, read_fields, read_observed, to_page
from tempfit.report.tables import round_readings
from tempfit.report.text import as_css_string, clean, short
from tempfit.rounding import last_place, measured, measured_one, state, state_one, state_pair, whole
from tempfit.tracking.results import residuals
from tests.conftest import T_C, T_U, THERMOMETER
from tests.exact.test_least_squares import GUM_B, GUM_T
from tests.records import changed, check

RUN_ID = "ac05b8a2d24a44fcaf54b55c57fee91d"
FULL = {
    "report": {"number": "K-17", "date": "2026-11-24"},
    "laboratory": {"name": "The laboratory", "address": "Street 1\n12345 Town"},
    "client": {"name": "The client"},
    "thermometer": {"identity": "Probe 7", "serial": 20231107},
    "reference": {"identity": "Pt25 no. 88", "uncertainty": "U = 0.020 °C (k = 2)"},
    "conditions": {"ambient_temperature": 22.4, "medium": "water"},
    "procedure": "In a stirred bath.",
    "people": {"calibrated_by": "A. Example", "approved_by": "B. Sample"},
    "extra": {"Supply voltage": "3.3 V"},
}
CHECKS = {
    "usable": False,
    "checks": [
        {"name": "Linearity", "measure": "F", "figure": 1.43, "p": 0.27, "verdict": "passes", "sentence": "Straight."},
        {
            "name": "Outliers",
            "measure": "t",
            "figure": 5.21,
            "p": 2e-5,
            "verdict": "fails",
            "sentence": "Row 5 is off.",
        },
        {"name": "Scatter", "measure": "", "figure": None, "p": None, "verdict": "doubtful", "sentence": "Wide."},
    ],
    "scales": [
        {"scale": "Fahrenheit", "symbol": "°F", "w": 5 / 9, "b": -17.7778, "F": 0.4, "p": 0.68, "compatible": True},
        {"scale": "Réaumur", "symbol": "°Ré", "w": 1.25, "b": 0.0, "F": 812.0, "p": 3e-11, "compatible": False},
    ],
    "robust": {"delta": 1.2, "observation_sd": 1.0, "set_aside": [5]},
}
HOSTILE = {
    "markup": "</td></table><script>alert(1)</script><img src=http://x.invalid/a.png>&amp;\"'>",
    "template": "{{ 7 * 7 }}{% raw %}{# #}",
    "control": "a\x00b\x07c\x1b[31md\x85e\ud800f\uffffg",
    "right to left": "\u202eمقياس الحرارة ٣٧ \u2067שלום",
    "long": "W" * 10_000,
    "lines": "one\r\ntwo\n\n\tthree",
    "css": "}</style><style>*{display:none}",
}


def as_recorded(result: Calibration, **extra: Any) -> Filed:
    made_at = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    tags = {"versions": "tempfit 0.1.0, torch 2.13.0"}
    return Filed(changed(result, **extra), "the run", run_id=RUN_ID, made_at=made_at, tags=tags)


def page_of(result: Calibration, fields: dict[str, Any] | None = None, *, with_run: bool = True, **options: Any) -> str:
    parquet = io.BytesIO()
    residuals(result).to_parquet(parquet)
    observed = read_observed(parquet.getvalue(), "ac05") if with_run else None
    extra = options.pop("extra", {})
    return to_page(gather(as_recorded(result, **extra), Fields.model_validate(fields or {}), observed, **options))


class Cells(HTMLParser):
    """The page's tags (with a < in front) and texts in order, without its style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # What is long may go on on the next page.
        attrs = [(name, (value or "").removesuffix("long").strip()) for name, value in attrs]
        attrs = [item for item in attrs if item != ("class", "")]
        self.found.append(("tag", f"{tag} {attrs}"))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("tag", f"/{tag}"))

    def handle_data(self, data: str) -> None:
        if data.strip() and self.found[-1] != ("tag", "style []"):
            self.found.append(("text", data.strip()))

    @property
    def tags(self) -> list[str]:
        return [re.sub("base64,[^']*", "", item) for kind, item in self.found if kind == "tag"]


def text_of(page: str) -> str:
    """What is read, on one line."""
    return re.sub(r"\s+", " ", " ".join(item for kind, item in Cells(page).found if kind == "text"))


def pdf_pages(content: bytes) -> list[tuple[tuple[float, float], str]]:
    document = pypdfium2.PdfDocument(content)
    return [(page.get_size(), page.get_textpage().get_text_range()) for page in document]


@pytest.fixture(scope="module")
def line() -> Calibration:
    return calibrate(THERMOMETER)


@pytest.mark.parametrize(
    ("value", "uncertainty", "stated", "stated_uncertainty"),
    [
        (-17.3047, 1.9429, "−17.3", "1.9"),
        (1.23456, 0.0995, "1.23", "0.10"),  # the rounding itself reaches the next decimal
        (1.23456, 0.0994, "1.235", "0.099"),
        (5.0, 9.96, "5", "10"),
        (0.125, 0.0125, "0.125", "0.013"),
        (-0.0001, 0.5, "0.00", "0.50"),  # no −0.00
        (0.0, 0.5, "0.00", "0.50"),
        (12345.0, 12.3, "12345", "12"),
        (12345.0, 123.0, "1.235 × 10⁴", "0.012 × 10⁴"),  # 12350 would claim a digit too many
        (3.0, 120.0, "0.0 × 10²", "1.2 × 10²"),
        (1e30, 2.51e28, "1.000 × 10³⁰", "0.025 × 10³⁰"),
        (1e308, 1e307, "1.00 × 10³⁰⁸", "0.10 × 10³⁰⁸"),
        (1e-9, 2e-11, "1.000 × 10⁻⁹", "0.020 × 10⁻⁹"),
        (5e-324, 5e-324, "5.0 × 10⁻³²⁴", "5.0 × 10⁻³²⁴"),
        (1e8, 1e-12, "100000000.00000000", "1.0 × 10⁻¹²"),  # beyond the digits of a float
        (1.5, 0.0, "1.5", "0"),
        (1.5, math.nan, "1.5", "—"),
        (1.5, math.inf, "1.5", "∞"),
        (math.nan, 1.0, "—", "1.0"),
        (-math.inf, 1.0, "−∞", "1.0"),
        (0.0, 0.0, "0", "0"),
        (1 / 3, math.nan, "0.3333333", "—"),
    ],
)
def test_a_value_is_stated_to_the_second_digit_of_its_uncertainty(value, uncertainty, stated, stated_uncertainty):
    """JCGM 100:2008, 7.2.6."""
    texts = [f"{part.texts[0]}{part.factor}".replace("\u00a0", " ") for part in state_pair(value, uncertainty)]
    assert texts == [stated, stated_uncertainty]


def test_numbers_in_a_column_share_their_decimals():
    assert state([1.0, -22.345, math.nan], -2).texts == ("1.00", "−22.35", "—")
    assert state([1.0, 2e6], 4) == state([1.0, 2e6], 4)
    assert state([1.0, 2e6], 4).power == 6
    assert measured([35.7, 1, -4]).texts == ("35.7", "1.0", "−4.0")
    assert measured([0.1 + 0.2, 1]).texts == ("0.3", "1.0")  # 0.30000000000000004 is the float's rounding
    assert measured([1e-12, 2e-12]) == state([1e-12, 2e-12], -12)
    assert measured([]).texts == ()
    assert (measured_one(2e-6), measured_one(20.0)) == ("2\u00a0×\u00a010⁻⁶", "20")
    assert (state_one(2.26216, 3), state_one(1.2e-12, 2)) == ("2.26", "1.2\u00a0×\u00a010⁻¹²")
    assert (whole(-17.304785503010788), whole(-2.9e-05)) == ("−17.304785503010788", "−2.9\u00a0×\u00a010⁻⁵")
    assert [last_place(u) for u in (0.0995, 0.0, math.nan, math.inf, 120.0)] == [-2, None, None, None, 1]


@pytest.mark.parametrize(
    ("low", "high", "first", "last", "n"),
    [
        (21.8, 81.9, 30, 80, 6),
        (0, 100, 0, 100, 5),
        (-4.0, 28.0, 0, 25, 6),
        (1.5e-6, 6.5e-6, 2e-6, 6e-6, 5),
        (-1e6, 3e6, -1e6, 3e6, 5),
        (99.999, 100.001, 99.999, 100.001, 5),
    ],
)
def test_readings_of_the_table_are_round(low, high, first, last, n):
    values = round_readings(low, high)
    assert values == sorted(set(values))
    assert (values[0], values[-1], len(values)) == (pytest.approx(first), pytest.approx(last), n)


def test_readings_of_the_table_where_there_are_no_round_ones():
    values = round_readings(1e15, 1e15 + 1)
    assert (values[0], values[-1]) == (1e15, 1e15 + 1)


def test_the_tutorials_line(line):
    text = text_of(page_of(line))
    assert "No." in text  # of the readings; the report has no number
    assert "w 0.537" in text
    assert "0.036" in text  # u(w)
    assert "u(w, b) = −0.0654 °C²/unit" in text  # nobody named the readings' unit
    assert "r(w, b) = −0.955" in text
    assert "t u = t c" not in text
    assert "60 14.9 0.64 2.26 1.4 4.5" in text  # t_u, t_c, u, k, U of the curve, U of a single observation
    assert "4 81.9 28.0 26.66 1.34" in text  # row, t_u, t_c, fitted, residual
    assert "k = 2.26" in text.replace("\u00a0", " ")
    assert "ν = 9" in text
    assert "less than a millionth of its standard uncertainty" in text
    assert line.readings.sha256 in text
    assert RUN_ID in text
    assert "2026-11-24 09:30 UTC" in text
    assert "torch 2.13.0" in text
    assert "should not be used" not in text
    assert "ecalibration" not in text  # nobody asked for it


def test_gum_h3_about_its_reference_point():
    """JCGM 100:2008, H.3: b(t) = −0.1712(29) + 0.00218(67) (t − 20 °C)."""
    page = page_of(calibrate((GUM_T, GUM_B), t0=20, x_unit="°C"))
    text = text_of(page)
    assert "w 0.00218 0.00067" in text
    assert "b −0.1712 0.0029" in text
    assert "r(w, b) = −0.930" in text
    assert "(<i>t</i><sub>u</sub> − 20)" in page
    assert "reference point 20 °C" in text.replace("\u00a0", " ")


def test_a_reference_point_in_tiny_units_keeps_its_power_of_ten():
    text = text_of(page_of(calibrate(((GUM_T - 20) * 1e-6, GUM_B), t0=2e-6, x_unit="V"))).replace("\u00a0", " ")
    assert "reference point 2 × 10⁻⁶ V" in text
    assert "− 2 × 10⁻⁶ )" in text or "− 2 × 10⁻⁶)" in text


def test_what_the_references_have_in_common_is_told_apart():
    result = calibrate((GUM_T, GUM_B), t0=20, u_common=0.002)
    text = text_of(page_of(result, FULL)).replace("\u00a0", " ")
    assert "u_common = 0.0020 °C" in text
    assert "standard uncertainty common to all references: 0.0020 °C" in text
    assert "Welch–Satterthwaite" in text
    without = text_of(page_of(calibrate((GUM_T, GUM_B)), FULL))
    assert "that of the reference is to be added" in without


def test_stated_uncertainties_and_huber_are_named_as_what_they_are():
    frame = {"t_u": T_U, "t_c": T_C, "u_c": np.full(11, 0.5)}
    text = text_of(page_of(calibrate(pd.DataFrame(frame))))
    assert "stated for each reading (u_c)" in text
    assert "ν = ∞" in text
    assert "for a normal distribution" in text
    assert "Huber’s robust estimate" in text_of(page_of(calibrate((T_U, T_C), loss="huber")))


def test_the_checks_of_a_calibration_are_told_in_sentences(line):
    text = text_of(page_of(line))
    told = "No curvature seen beyond the line (F(1, 8) = 3.2, p = 0.111); it would be from 5.4 °C on."
    assert f"Curvature ✓ passes {told}" in text
    assert "Celsius (°C) 1.0000 0 2,707 < 0.001 no" in text


def test_a_polynomial_with_readings_held_out():
    page = page_of(calibrate(THERMOMETER, model="polynomial", degree=3, holdout_rows="2,10", x_unit="mV"))
    text = text_of(page)
    assert "9 fitted, 2 held out" in text
    assert text.count("held out") >= 3
    assert "°C/mV³" in text
    assert "<i>t</i><sub>u</sub><sup>3</sup>" in page
    assert "The calibration curve" in text
    assert "2 readings held out: root mean squared residual" in text


def test_checks_scales_and_what_was_set_aside(line):
    text = text_of(page_of(line, extra=CHECKS))
    assert text.index("This line should not be used") < text.index("What was calibrated")
    assert "Row 5 is off." in text
    assert "✗ fails" in text
    assert "✓ passes" in text
    assert "Fahrenheit (°F) 0.55556 −17.778 0.4 0.680 yes" in text
    assert "Réaumur (°Ré) 1.2500 0 812 < 0.001 no" in text
    assert "set aside" in text
    doubtful = text_of(page_of(line, extra={**CHECKS, "usable": True, "checks": CHECKS["checks"][2:]}))
    assert "Use this line with care Wide." in doubtful
    passing = text_of(page_of(line, extra={"usable": True, "checks": CHECKS["checks"][:1]}))
    assert "with care" not in passing


def test_fits_that_did_not_arrive_are_told_at_the_top():
    result = calibrate((T_U, T_C), scaling="none", learning_rate=1e-4)
    assert "should not be used Gradient descent ended 8.1 standard uncertainties from" in text_of(page_of(result))
    with pytest.raises(RunsError, match="diverged"):
        page_of(calibrate((T_U, T_C), scaling="none", learning_rate=1e-2))


@pytest.mark.filterwarnings("error")
def test_a_perfect_fit_claims_no_uncertainty():
    text = text_of(page_of(calibrate(([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]))))
    assert "with care The readings lie on it to rounding" in text
    assert "1.5 3 — " in text
    common = text_of(page_of(calibrate(([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]), u_common=0.1)))
    assert "1.5 3.00 0.10 1.96 0.20 0.20" in common  # all of it has infinitely many degrees of freedom


def test_many_readings_are_shown_by_their_extremes():
    t_u = np.linspace(0, 100, 1500)
    t_c = 0.9 * t_u + 3 + 0.05 * np.sin(37 * t_u)
    t_c[700] += 1.0
    page = page_of(calibrate((t_u, t_c)))
    assert len(page) < 600_000
    text = text_of(page)
    assert "Of 1,500 readings, the lowest, the highest and the 10 with the largest residuals" in text
    assert " 701 " in text
    assert " 702 " not in text


def test_without_the_run_it_says_so(line):
    content = gather(Filed(record_of(line), "calibration.json"), Fields())
    text = text_of(to_page(content))
    assert "from a calibration.json alone" in text
    assert len(content.pictures) == 1
    assert "No." not in text


def test_readings_asked_for_and_those_outside(line):
    text = text_of(page_of(line, at=[-10.0, 50.0]))
    assert "−10 −22.7 2.27 2.26 5.1 6.7 outside the calibrated range" in text
    assert "50 9.5 0.57 2.26 1.3 4.5" in text


def test_fields_and_the_certificate(line):
    page = page_of(line, FULL, certificate=True)
    text = text_of(page)
    for words in ("Certificate of calibration", "K-17", "The laboratory", "20231107", "22.4", "Supply voltage 3.3 V"):
        assert words in text
    assert "<title>Certificate of calibration K-17</title>" in page
    assert "Recalibration due 2027-11-24" in text_of(page_of(line, {"report": {"recalibration_due": "2027-11-24"}}))


def test_nothing_is_fetched_and_nothing_runs(line):
    page = page_of(line, FULL)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page
    assert "<script" not in page
    assert set(re.findall(r"\b(?:src|href|srcset|action)=.{6}", page)) == {'src="data:'}
    assert "url(" not in page
    assert page.count("<html lang=") == page.count("</html>") == 1
    assert page.count("<th ") == page.count('scope="')
    assert page == page_of(line, FULL)


def filled(text: str) -> dict[str, Any]:
    """Every text that a user gives."""
    tables = {
        name: dict.fromkeys(model.annotation.model_fields, text)
        for name, model in Fields.model_fields.items()
        if name not in ("procedure", "extra")
    }
    return {**tables, "procedure": text, "extra": {"a label": text}}


@pytest.fixture(scope="module")
def benign(line) -> list[tuple[str, str]]:
    return Cells(page_of(line, filled("benign"))).found


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_text_stays_in_its_cell(line, benign, kind):
    """One page with all texts benign and one with all hostile: the rest of it is the same."""
    hostile = Cells(page_of(line, filled(HOSTILE[kind]))).found
    shown = re.sub(r"\s+", " ", str(clean(HOSTILE[kind])).strip())
    assert len(benign) == len(hostile)
    n_cells = 0
    for before, after in zip(benign, hostile, strict=True):
        if "benign" in before[1]:
            n_cells += 1
            is_title = before[1].startswith("Calibration report")
            expected = before[1].replace("benign", short(HOSTILE[kind], 60) if is_title else shown)
            assert before[0] == after[0] == "text"
            assert re.sub(r"\s+", " ", after[1]) == re.sub(r"\s+", " ", expected)
        else:
            assert before == after
    assert n_cells > 30


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_columns_units_and_names_change_no_tag(line, kind):
    text = HOSTILE[kind]
    told = text.replace("\ud800", "")  # which no JSON holds
    names = {"x_quantity": told, "y_quantity": told, "x_unit": told, "y_unit": told, "x": told, "y": f"{told}2"}
    texts = {
        "data": {"source": told},
        "checks": [check(told, "passes", told, measure=told, figure=1.0, p=0.5)],
        "scales": [{"scale": told, "symbol": told, "w": 1.0, "b": 0.0, "F": 1.0, "p": 0.5, "compatible": True}],
    }
    hostile = Filed(changed(line, config=names, **texts), text, run_id=RUN_ID, tags={"versions": text})
    plain = Filed(changed(line, config={"x_unit": "mV"}, **texts), "name", run_id=RUN_ID, tags={"versions": "1"})
    assert Cells(to_page(gather(hostile, Fields()))).tags == Cells(to_page(gather(plain, Fields()))).tags


def test_texts_are_made_safe():
    assert clean("a\x00b\ud800c\r\nd\re\tf") == "a\ufffdb\ufffdc\nd\ne\tf"
    assert short("x" * 30) == "x" * 15 + "…"
    assert short("\u202eمم\n°C") == "\u2068مم °C\u2069"
    assert short("°C") == "°C"
    assert as_css_string('a"}\\\n</style>') == '"a\\000022\\00007d\\00005c\\00000a\\00003c\\00002fstyle\\00003e"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[termometer]\nidentity = 'x'", "'termometer': no such field; did you mean thermometer?"),
        ("[reference]\nuncertanty = 1", "'reference.uncertanty': no such field; did you mean reference.uncertainty?"),
        ("[client]\nzzz = 1", "'client.zzz': no such field; rows of your own belong in [extra]"),
        ("client = 'x'", "'client': should be a table, [client]"),
        ("[extra]\na = [1]", "'extra.a': should be text, a number or a date, got '[1]'"),
        ("[extra]\na = true", "'extra.a': should be text, a number or a date, got 'True'"),
        ("[extra\n", "not a readable TOML file of fields"),
    ],
)
def test_fields_that_cannot_be_used_are_told_in_one_line(tmp_path, text, words):
    path = tmp_path / "fields.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_fields(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fields_take_numbers_and_dates_without_quotes(tmp_path):
    path = tmp_path / "fields.toml"
    path.write_text("[report]\ndate = 2026-11-24\n[extra]\n'°C' = 22.40\n")
    fields = read_fields(path)
    assert (fields.report.date, fields.extra) == ("2026-11-24", {"°C": "22.4"})
    assert fields.missing_for_certificate() == ["reference.identity", "reference.uncertainty"]
    with pytest.raises(SettingsError, match="not a readable TOML file"):
        read_fields(tmp_path / "nowhere.toml")


@pytest.mark.usefixtures("pango")
def test_the_pdf_has_every_sign_and_page_numbers(line):
    page = page_of(line, FULL | {"extra": {"Signs": "° − · × ² σ ν χ² Ω ± ✓ ✗"}})
    pages = pdf_pages(pdf.to_pdf(page))
    text = "".join(text for _, text in pages)
    for sign in "°−·×²σνχΩ±✓✗":
        assert sign in text
    for i, (size, text) in enumerate(pages, start=1):
        assert size == pytest.approx((595.28, 841.89), abs=0.01)
        assert f"Page {i} of {len(pages)}" in text
        assert f"Calibration report K-17 · run {RUN_ID}" in text


@pytest.mark.usefixtures("pango")
def test_the_pdf_is_the_same_at_any_time_whatever_cuts_its_fonts_down(monkeypatch):
    """fontTools, which does where HarfBuzz-Subset is missing, dates a font to the second."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    page = "<p>° − · × ² <b>σ ν</b> <i>Ω ±</i>"

    def make() -> list[bytes]:
        made = [pdf.to_pdf(page)]
        with monkeypatch.context() as patch:
            patch.setattr("weasyprint.pdf.fonts.harfbuzz_subset", None)
            made.append(pdf.to_pdf(page))
        return made

    before = make()
    time.sleep(1.1)
    assert make() == before
    assert "SOURCE_DATE_EPOCH" not in os.environ


@pytest.mark.integration
@pytest.mark.usefixtures("pango")
def test_a_hostile_text_changes_no_other_text_of_the_pdf(line):
    """The longest, 4,000 letters in each of two cells, fills more than a page."""

    def words(text: str) -> tuple[set[tuple[float, float]], str]:
        fields = FULL | {"client": {"name": text}, "extra": {"label": text}}
        pages = pdf_pages(pdf.to_pdf(page_of(line, fields)))
        kept = (re.sub(r"Page \d+ of \d+|Calibration report K-17 · run \w+|\s+", "", page) for _, page in pages)
        return {size for size, _ in pages}, "".join(kept)

    mark = "M" * 7
    sizes, benign = words(mark)
    for hostile, written in (("Q" * 4_000, "Q+"), ("</td>\x00<b>", "</td>.?<b>"), ("\u202eשלום", "[^\x00-\x7f]{0,8}")):
        hostile_sizes, found = words(hostile)
        assert hostile_sizes == sizes
        assert re.fullmatch(written.join(re.escape(part) for part in benign.split(mark)), found)


@pytest.mark.usefixtures("pango")
def test_nothing_but_data_is_fetched_for_a_pdf(monkeypatch):
    import socket

    from weasyprint.urls import FatalURLFetchingError

    def refuse(*_: object) -> None:
        raise AssertionError("asked for something outside")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for address in ("http://127.0.0.1:9/x.png", f"file://{THERMOMETER}"):
        with pytest.raises(FatalURLFetchingError):
            pdf.to_pdf(f"<html><body><img src='{address}'></body></html>")


def test_without_pango_it_says_what_to_do(monkeypatch):
    def fail(name: str) -> None:
        raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.setattr(pdf, "import_module", fail)
    with pytest.raises(SettingsError, match=r"PDFs need the system's library Pango .* print that from a browser"):
        pdf.to_pdf("<p>")
