"""Public wrist radiographs with labels, read as they are downloaded: one module a set, all give the same datalist."""
