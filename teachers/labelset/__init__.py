"""Label sets: labels as Parquet files, and as a teacher."""
