"""Boxes: what they are, how much two of them overlap, and which of many stay.

A box is (x0, y0, x1, y1): its edges in pixels, x to the right, y down, (0, 0) the outer corner of the first pixel. The
pixel in column i covers x from i to i + 1. A box of width x1 - x0 = 1 and height 1 is one pixel.
"""
