SELECT * FROM kinds.hollow JOIN kinds.person p ON p.id = hollow.person;
