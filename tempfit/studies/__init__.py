"""Many settings on one data set: grid, presets, sweep, outlook, compare, ranking."""
