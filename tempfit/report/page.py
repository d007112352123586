"""The report as one HTML page: nothing is fetched, nothing runs, and it prints."""

from __future__ import annotations

from typing import Literal, get_args

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tempfit.report.content import Content
from tempfit.report.text import as_css_string, clean, short

Paper = Literal["a4", "letter"]


def to_page(content: Content, paper: Paper = "a4") -> str:
    """The page, which a browser prints on `paper`. Whatever the content's texts hold, they stay text."""
    if paper not in get_args(Paper):
        raise ValueError(f"paper: {paper!r} is none of {get_args(Paper)}")
    environment = Environment(
        loader=PackageLoader("tempfit.report"), autoescape=True, finalize=clean, undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(
        vars(content),
        is_line=content.is_line,
        short_number=short(content.number, 60),
        paper=Markup(paper),
        running_css=as_css_string(content.running),
    )
