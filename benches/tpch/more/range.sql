SELECT ps_partkey, ps_suppkey FROM partsupp
WHERE int4range(ps_availqty, ps_availqty + 10) && int4range(5000, 5002);
