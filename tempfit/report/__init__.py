"""The report of a calibration for a person: what is known of it, set as a page that prints, or as a PDF.

It stands on the Record of `calibration`, and on `plots`. `content` gathers what is said, `page` sets it as HTML, `pdf`
makes a PDF of that; `fields` is what the user knows.
"""

from tempfit.report.content import gather
from tempfit.report.fields import Fields, read_fields
from tempfit.report.observed import Observed, read_observed
from tempfit.report.page import to_page

__all__ = ["Fields", "Observed", "gather", "read_fields", "read_observed", "to_page"]
