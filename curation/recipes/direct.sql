-- Every train-side example with its answer alone, no reasoning: what the paper's text compares with (SFT on data).
SELECT example_id FROM splits WHERE split = $split AND side = 'train'
