SELECT count(*) FROM kinds.address a JOIN kinds.address b ON a.zip = b.zip AND a.id < b.id;
