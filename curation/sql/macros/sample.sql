-- A fixed share of the traces: whether one is in depends on its id and the seed alone, not on what else is there.
-- `WHERE sample(0.2, 1)` keeps about a fifth; a larger fraction with the same seed holds the smaller one.
CREATE MACRO sample(fraction, seed := 0) AS
    ('0x' || substr(sha256(concat_ws(chr(31), seed, trace_id)), 1, 13))::BIGINT < fraction * (1::BIGINT << 52)
