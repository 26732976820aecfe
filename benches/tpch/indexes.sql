-- Ten indexes of several kinds that change some of the plans. One statement a line; lines that begin with -- and what a
-- server lacks (pg_trgm) are passed over.
CREATE INDEX tpch_single ON lineitem (l_shipdate);
CREATE INDEX tpch_composite ON lineitem (l_partkey, l_suppkey);
CREATE INDEX tpch_covering ON orders (o_orderdate) INCLUDE (o_totalprice, o_custkey);
CREATE INDEX tpch_partial ON orders (o_orderkey) WHERE o_orderstatus = 'F';
CREATE INDEX tpch_expression ON customer ("substring"((c_phone)::text, 1, 2), c_acctbal);
CREATE INDEX tpch_brin ON lineitem USING brin (l_receiptdate);
CREATE INDEX tpch_hash ON customer USING hash (c_name);
CREATE INDEX tpch_trigram ON part USING gin (p_name gin_trgm_ops);
CREATE INDEX tpch_search ON orders USING gin (to_tsvector('simple', o_comment));
CREATE INDEX tpch_range ON partsupp USING gist (int4range(ps_availqty, ps_availqty + 10));
