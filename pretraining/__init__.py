"""Self-supervised pretraining: an archive of unlabelled images in, an encoder out."""
