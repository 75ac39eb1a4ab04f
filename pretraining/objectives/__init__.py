"""What pretraining minimises: one paper a file."""
