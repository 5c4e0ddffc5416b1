// Package parquet reads the Parquet files that torjournal writes by Apache
// Arrow's reader, which shares no code with the writer: what only the writer's
// own library can read is no Parquet.
package parquet
