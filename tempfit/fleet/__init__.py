"""Many data sets under one setting: readings of a fleet to a table of calibrations, here or on many machines."""
