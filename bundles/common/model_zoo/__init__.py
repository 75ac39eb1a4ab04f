"""Bundles as MONAI's Model Zoo writes them, read by their own files alone; docs/model-zoo.md tells what is served.

Such a folder has `configs/metadata.json` and `configs/inference.json` (or .yaml), and no `configs/service.yaml`: its
metadata take the place of our contract. Nothing here but `building` imports torch.
"""
