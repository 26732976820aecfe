-- A narrow stretch of a column that the table is ordered by.
SELECT count(*), sum(l_extendedprice) FROM lineitem WHERE l_receiptdate BETWEEN date '1998-12-01' AND date '1998-12-31';
