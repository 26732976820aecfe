SELECT min(at), max(at) FROM kinds.reading;
