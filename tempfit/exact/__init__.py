"""Least squares in closed form: evidence, scaling, basis, curve, weights, York, Huber, prediction.

It stands on `readings`, and needs no gradient descent.
"""
