"""What a fit is worth: checks, significance, scales, outcome; and the Record, which lasts. It stands on `descent`."""
