-- A minimum and a maximum from the ends of an index.
SELECT min(o_orderkey), max(o_orderkey) FROM orders;
