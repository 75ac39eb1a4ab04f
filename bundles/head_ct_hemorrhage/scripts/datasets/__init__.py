"""Public sets of head CT, as downloaded, into datalists of this bundle."""
