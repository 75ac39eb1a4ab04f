"""Views of images: crops and changes that a self-supervised objective compares."""
