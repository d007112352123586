"""Least squares in closed form: evidence, scaling, basis, curve, weights, York, Huber, prediction."""
