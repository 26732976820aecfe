SELECT count(*) FROM kinds.fresh JOIN kinds.wide USING (id);
