"""Gradient descent on an autograd gradient: model, losses, optimizers, loop, history, batches, forecast, validation."""
