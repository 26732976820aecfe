SELECT * FROM kinds.grown WHERE bucket = 5;
