"""What JSON can say of nested values, and a digest of it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def digest_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values in one form: keys in order, no spaces, every number as a float."""
    text = json.dumps(_as_floats(values), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _as_floats(value: Any) -> Any:
    """Whole numbers as floats: another program may write 2 for 2.0, which changes nothing."""
    if isinstance(value, Mapping):
        return {key: _as_floats(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_floats(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def finite(value: Any) -> Any:
    """The same nested values with None for what JSON cannot say: NaN and infinities."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
