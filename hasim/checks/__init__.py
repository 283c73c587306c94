"""Promises as functions of what happened: histories of operations and traces go in, verdicts come out."""
