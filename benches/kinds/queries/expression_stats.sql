SELECT count(*) FROM kinds.address WHERE zip % 7 = 3;
