-- Everything it needs stands in one index.
SELECT o_orderdate, count(*), max(o_custkey) FROM orders
WHERE o_orderdate >= date '1998-07-01' GROUP BY o_orderdate ORDER BY o_orderdate;
