"""The HTTP side: health, metrics, the studies as JSON and as a page."""
