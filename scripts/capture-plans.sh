#!/bin/sh
# Captures the plans in planparse/tests/plans: each statement in the four formats, one after the other in one file.
# Usage: scripts/capture-plans.sh MAJOR CONNECTION, with psql on the PATH and an empty database that may be filled.
set -eu
major=$1
connection=$2
folder=$(dirname "$0")/../planparse/tests/plans
mkdir -p "$folder"

ask() {
    psql -X -A -t -q -v ON_ERROR_STOP=1 -d "$connection" "$@"
}

ask <<'SQL'
create schema if not exists shop;
set search_path = shop;
drop table if exists line, orders, customer, part;
create table customer (id int primary key, region int not null, name text not null);
create table orders (id int primary key, customer_id int not null references customer, placed date not null, note text);
create table line (id int primary key, order_id int not null references orders on delete cascade, total numeric not null);
create table part (id int, placed date) partition by range (placed);
create table part_1 partition of part for values from ('2026-01-01') to ('2026-07-01');
create table part_2 partition of part for values from ('2026-07-01') to ('2027-01-01');
insert into customer select i, i % 7, 'name ' || i from generate_series(1, 500) i;
insert into orders select i, 1 + i % 500, date '2026-01-01' + i % 300, 'note "' || i || '"' from generate_series(1, 6000) i;
insert into line select i, 1 + i % 6000, i % 90 from generate_series(1, 20000) i;
insert into part select i, date '2026-01-01' + i % 300 from generate_series(1, 2000) i;
create index orders_customer on orders (customer_id, placed);
create index line_order on line (order_id);
create index part_placed on part (placed);
vacuum (analyze) customer, orders, line, part;
SQL

capture() {
    name=$1 options=$2 before=$3 statement=$4
    file=$folder/pg${major}_$name.txt
    : > "$file"
    for format in json text yaml xml; do
        ask -c "set search_path = shop" -c "set work_mem = '256kB'" -c "$before" -c "begin" \
            -c "explain ($options, format $format) $statement" -c "rollback" >> "$file"
        echo >> "$file"
    done
}

all="analyze, verbose, buffers, settings"
capture scan "$all" "select" "select id, note as \"a \"\"b\"\"\" from orders where note <> 'x: y, (cost=1' and placed < date '2026-02-01'" 
capture estimate "verbose" "set enable_seqscan = off" "select * from orders o where o.customer_id = 7 order by o.placed desc limit 3"
capture join "$all" "select" "select c.region, count(*) from customer c join orders o on o.customer_id = c.id where c.name > 'name 3' group by c.region having count(*) > 1 order by 2 desc, 1"
capture nested "$all" "set enable_hashjoin = off; set enable_mergejoin = off" "select o.id, l.total from orders o left join line l on l.order_id = o.id and l.total > 50 where o.customer_id in (3, 4)"
capture merge_join "analyze, buffers" "set enable_hashjoin = off; set enable_nestloop = off" "select count(*) from orders o join line l on l.order_id = o.id"
capture spill "$all" "set work_mem = '64kB'" "select order_id, total from line order by total, order_id"
capture hash_spill "$all" "set work_mem = '64kB'; set enable_sort = off" "select l.order_id, sum(total) from line l join orders o on o.id = l.order_id group by l.order_id"
capture subplans "analyze, verbose" "select" "select o.id, (select max(total) from line l where l.order_id = o.id) from orders o where o.customer_id = (select min(id) from customer) and o.id not in (select order_id from line where total > 88)"
capture cte "$all" "select" "with recursive up (n) as (select 1 union all select n + 1 from up where n < 50), big as materialized (select * from line where total > 80) select count(*) from up join big on big.id = up.n join big b2 on b2.id = up.n"
capture window "analyze" "select" "select id, rank() over (partition by customer_id order by placed), sum(id) over (order by id) from orders where customer_id < 40"
capture grouping "analyze, verbose" "select" "select region, id % 3, count(*) from customer group by grouping sets ((region, id % 3), (region), ())"
capture partitions "analyze, costs off" "select" "select count(*) from part where placed < current_date - 100000"
capture append "$all" "set enable_partition_pruning = off" "select * from part where placed = date '2026-03-01' union all select id, placed from orders where id < 5"
capture bitmap "$all" "set enable_indexscan = off; set enable_seqscan = off" "select * from orders where customer_id = 5 or customer_id = 9"
capture never "analyze, timing off, summary off" "set enable_hashjoin = off; set enable_mergejoin = off" "select * from customer c join orders o on o.customer_id = c.id where c.region = 99"
capture modify "$all" "select" "with gone as (delete from line where id = 3 returning id) select * from gone"
capture cascade "$all, wal" "select" "delete from orders where id < 9"
capture upsert "analyze, verbose" "select" "insert into customer values (1, 1, 'a'), (9999, 1, 'b') on conflict (id) do update set name = excluded.name where customer.region > 2"
capture function "$all" "select" "select * from generate_series(1, 30) g, unnest(array[1, 2]) with ordinality u (a, b), (values (1), (2)) v"
capture set "analyze" "select" "select id from customer except select customer_id from orders where id < 3000"
capture sample "verbose" "select" "select * from orders tablesample system (10) repeatable (3)"
capture lock "$all" "select" "select * from orders where ctid = '(0,1)' for update"
capture parallel "$all" "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0; set max_parallel_workers_per_gather = 2" "select order_id, count(*) from line group by order_id order by 2 limit 5"
