-- What a recipe may choose from: valid traces on each split's train side, controls left out. A build sees the
-- rows of one split alone.
SELECT s.split, t.*
FROM traces AS t
JOIN splits AS s USING (example_id)
WHERE s.side = 'train' AND t.valid AND t.approach <> 'control'
