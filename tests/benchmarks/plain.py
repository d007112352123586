"""What numpy alone does with a file of readings: reads the column, applies the line, writes both columns.

Run by `tests.benchmarks.run` in a process of its own; arguments: the readings, the file to write, w and b.
"""

from __future__ import annotations

import sys

import numpy as np


def main() -> None:
    source, target, w, b = sys.argv[1:]
    t_u = np.loadtxt(source, skiprows=1)
    table = np.column_stack([t_u, float(w) * t_u + float(b)])
    np.savetxt(target, table, fmt="%.17g", delimiter=",", header="t_u,t_c", comments="")


if __name__ == "__main__":
    main()
