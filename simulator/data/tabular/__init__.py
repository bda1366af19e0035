"""Tables from CSV and Parquet files: how they are read, what their columns are, and the data set made of them."""
