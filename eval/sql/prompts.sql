-- How many test examples have a question that is nearly one of train: the very text; the two genes in another line;
-- the two genes the other way round, in this line or in any; the two in another spelling (letters and digits alone).
WITH spelled AS (
    SELECT DISTINCT
        upper(regexp_replace(pert, '[^A-Za-z0-9]', '', 'g')) AS pert_letters,
        upper(regexp_replace(gene, '[^A-Za-z0-9]', '', 'g')) AS gene_letters,
        pert, gene
    FROM train
)

SELECT
    count(*) FILTER (question IN (SELECT question FROM asked)) AS same_text,
    count(*) FILTER ((pert, gene) IN (SELECT (pert, gene) FROM train)) AS same_but_for_the_line,
    count(*) FILTER ((cell_line, gene, pert) IN (SELECT (cell_line, pert, gene) FROM train)) AS reversed_in_line,
    count(*) FILTER ((gene, pert) IN (SELECT (pert, gene) FROM train)) AS reversed,
    count(*) FILTER (EXISTS (
        SELECT 1 FROM spelled AS s
        WHERE s.pert_letters = upper(regexp_replace(t.pert, '[^A-Za-z0-9]', '', 'g'))
            AND s.gene_letters = upper(regexp_replace(t.gene, '[^A-Za-z0-9]', '', 'g'))
            AND (s.pert <> t.pert OR s.gene <> t.gene)
    )) AS other_spelling
FROM test AS t
