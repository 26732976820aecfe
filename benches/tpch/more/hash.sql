SELECT c_custkey, c_acctbal FROM customer WHERE c_name = 'Customer#000004711';
