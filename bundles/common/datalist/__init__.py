"""From the label files of a data set to one datalist: what the readers of all bundles share."""
