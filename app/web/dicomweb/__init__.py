"""DICOMweb (PS3.18), read only: QIDO-RS and WADO-RS over the images that came and the documents that were made."""
