"""Measurements against other libraries; every figure that the documentation quotes is made here."""
