"""Radiographs that no patient ever had: chests and wrists with known findings, and other views to tell apart."""
