SELECT id FROM kinds.person WHERE stay @> date '2022-06-06';
