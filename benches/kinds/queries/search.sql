SELECT id FROM kinds.person WHERE words @@ to_tsquery('english', 'running & dog');
