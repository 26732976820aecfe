SELECT count(*) FROM kinds.grown WHERE id > 85000;
