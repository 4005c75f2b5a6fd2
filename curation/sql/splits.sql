-- A split puts each example on a side. default: as the benchmark's files say. rpe1_holdout: every RPE1 row is
-- test and every row of the other lines is train, whatever the files say (the paper's section 4.1).
SELECT 'default' AS split, example_id, given_side AS side
FROM examples
UNION ALL
SELECT 'rpe1_holdout', example_id, CASE cell_line WHEN 'RPE1' THEN 'test' ELSE 'train' END
FROM examples
