"""Public chest radiographs with labels of whole images, read as they are downloaded: all give the same datalist."""
