"""Offline: data becomes a fitted `MLPClassifier`, and that becomes a model of the repository."""
