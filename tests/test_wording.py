"""What people are shown of text that others wrote."""

from __future__ import annotations

import pytest

from tempfit.wording import printable, shown, without_secrets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://user:p@ss@host/x", "https://…@host/x"),
        ("s3://KEY:SEC/RET+x@bucket/a.csv", "s3://…@bucket/a.csv"),  # Amazon's keys may have slashes
        ("ghp_token@host", "ghp_token@host"),  # no URL
        ("https://ghp_token@host/x", "https://…@host/x"),
        ("tcp://u:p@host:8786", "tcp://…@host:8786"),
        ("'https://u:p@host/x' and memory://u:p@y", "'https://…@host/x' and memory://…@y"),
        ("https://h/x?X-Amz-Signature=ab&y=1&sig=q#f", "https://h/x?X-Amz-Signature=…&y=1&sig=…#f"),
        ("https://host:8080/a@b.csv", "https://host:8080/a@b.csv"),
        ("s3://bucket/a@b.csv", "s3://bucket/a@b.csv"),
        ("folder/user:pw@x", "folder/user:pw@x"),
    ],
)
def test_secrets_of_urls_are_not_told(text: str, told: str) -> None:
    assert without_secrets(text) == printable(text) == told
    assert shown(text, 100) == f"'{told}'"
    assert without_secrets(told) == told


def test_what_is_cut_was_without_secrets_before() -> None:
    assert shown("https://user:" + "x" * 50 + "@host/y") == "'https://…@host/y'"
