SELECT * FROM kinds.fresh WHERE id < 100;
