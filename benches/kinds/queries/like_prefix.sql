SELECT id FROM kinds.person WHERE name LIKE 'fay 00%';
