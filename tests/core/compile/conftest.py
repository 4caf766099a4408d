"""Graphs are compared in hundreds of small sessions, whose numbers are what is looked at."""

from tests.fixtures.processors import one_processor

__all__ = ["one_processor"]
