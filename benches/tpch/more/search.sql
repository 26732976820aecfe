SELECT o_orderkey FROM orders WHERE to_tsvector('simple', o_comment) @@ to_tsquery('simple', 'special & pinto');
