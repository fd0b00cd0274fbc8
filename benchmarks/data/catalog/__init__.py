"""Which data sets there are: sources, columns, file names."""
