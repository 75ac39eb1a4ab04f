"""Head CTs and radiographs that no patient ever had, with the truth about every voxel or pixel."""
