UPDATE orders SET o_orderpriority = '1-URGENT' WHERE o_orderkey = 4711;
