"""Gradient descent on an autograd gradient: model, losses, optimizers, loop, batches, forecast, validation.

It stands on `exact`, which gives it the rows to train on and the optimum to be measured by.
"""
