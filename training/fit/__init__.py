"""Fitting one network, epoch by epoch."""
