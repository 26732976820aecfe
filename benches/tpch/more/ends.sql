-- Beyond the last histogram bound the planner looks the end of the index up (get_actual_variable_range).
SELECT * FROM orders JOIN lineitem ON l_orderkey = o_orderkey WHERE o_orderkey > 5999900;
