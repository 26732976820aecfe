SELECT count(*) FROM kinds.person WHERE spot <@ box(point(10, 10), point(12, 12));
