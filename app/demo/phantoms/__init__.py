"""Head CT studies that no patient ever was, with the truth about every voxel."""
