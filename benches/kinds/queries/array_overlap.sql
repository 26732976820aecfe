SELECT id, name FROM kinds.person WHERE scores && ARRAY[7, 523];
