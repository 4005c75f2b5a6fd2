-- Each example with the side that a split puts it on. default: as the benchmark's files say. rpe1_holdout: every RPE1
-- row is test and every row of the other lines is train, whatever the files say (the paper's section 4.1). unseen_pert:
-- the perturbations whose salted hash falls in the lowest fifth are test in every line, so that none is on both sides.
SELECT 'default' AS split, given_side AS side, *
FROM examples
UNION ALL
SELECT 'rpe1_holdout', CASE cell_line WHEN 'RPE1' THEN 'test' ELSE 'train' END, *
FROM examples
UNION ALL
SELECT 'unseen_pert',
    CASE WHEN ('0x' || substr(sha256('unseen_pert' || chr(31) || pert), 1, 8))::BIGINT < (1::BIGINT << 32) // 5
        THEN 'test' ELSE 'train' END, *
FROM examples
