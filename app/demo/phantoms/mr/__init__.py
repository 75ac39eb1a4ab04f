"""Contrast-enhanced T1 MPRAGE heads with and without brain metastases, drawn from a seed, with their truth."""
