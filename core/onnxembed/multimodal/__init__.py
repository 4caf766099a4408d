"""Texts and pictures in, one vector a token out, comparable with each other."""
