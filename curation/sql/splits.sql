-- A split puts each example on a side; what the splits are is said in sides.sql.
SELECT split, example_id, side FROM sides
