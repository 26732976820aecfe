SELECT id FROM kinds.person WHERE born < date '1941-01-01' UNION SELECT person FROM kinds.address WHERE zip < 10;
