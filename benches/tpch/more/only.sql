-- An index-only scan that depends on how much of the table is all-visible.
SELECT count(*) FROM lineitem WHERE l_orderkey BETWEEN 100000 AND 200000;
