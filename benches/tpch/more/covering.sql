-- Everything it needs stands in one index.
SELECT o_orderdate, count(*), sum(o_totalprice) FROM orders
WHERE o_orderdate >= date '1998-07-01' GROUP BY o_orderdate ORDER BY o_orderdate;
