"""Texts and pictures in, one vector per token out, comparable with each other."""
