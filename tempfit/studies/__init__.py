"""Many settings on one data set: grid, presets, sweep, outlook, compare, ranking.

It stands on `calibration`, of which each of its members is one.
"""
