SELECT id FROM kinds.person WHERE 't1' = ANY (tags) AND active;
