"""The catalogue of data sets: sources, columns, file names."""
