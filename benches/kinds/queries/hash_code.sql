SELECT name FROM kinds.person WHERE code = 'C4711';
