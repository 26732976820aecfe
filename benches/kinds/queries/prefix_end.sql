SELECT id FROM kinds.address WHERE id > 119990;
