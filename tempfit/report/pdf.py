"""A report's page as a PDF, by WeasyPrint; it is slow to load and needs a library of the system, hence apart."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from io import StringIO

from tempfit.errors import SettingsError

NO_PANGO = (
    "PDFs need the system's library Pango (Debian, Ubuntu: apt install libpango-1.0-0 libpangoft2-1.0-0 "
    "libharfbuzz-subset0; Fedora: dnf install pango; macOS: brew install pango); or write HTML and print that from a "
    "browser"
)


def to_pdf(page: str) -> bytes:
    """The PDF of a self-contained page, the same bytes for the same page and fonts. Nothing but `data:` is fetched.

    Raises SettingsError where Pango is missing.
    """
    try:
        with redirect_stdout(StringIO()):  # it prints half a page of advice before it fails
            weasyprint = import_module("weasyprint")
    except OSError:  # it opens Pango's library as it is imported
        raise SettingsError(NO_PANGO) from None
    logging.getLogger("weasyprint").setLevel(logging.ERROR)  # of CSS that is for browsers, it says what it ignores
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=["data"], allow_redirects=False, fail_on_errors=True)
    with _fonts_of_no_time():
        pdf: bytes = weasyprint.HTML(string=page, url_fetcher=fetcher).write_pdf(pdf_tags=True)
    return pdf


@contextmanager
def _fonts_of_no_time() -> Iterator[None]:
    """fontTools writes the time into a font: WeasyPrint has it cut fonts down where HarfBuzz-Subset is missing, and
    variable fonts always. It asks SOURCE_DATE_EPOCH first (reproducible-builds.org)."""
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before
