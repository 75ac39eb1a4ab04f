"""An archive of images: its index, its decoded shards, and batches whose order can be resumed."""
