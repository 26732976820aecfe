SELECT id FROM kinds.person WHERE lower(mail) = 'user77@example.org';
