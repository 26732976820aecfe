//! What the planner reads of the catalogs, in words that do not depend on numbers: compared between a database
//! and one built from its blueprint. Asked in other ways than the blueprint is drawn.

use crate::harness::Database;

const OURS: &str = "NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";

/// Everything that must be alike, one line each.
pub(crate) async fn describe(db: &Database<'_>) -> Vec<String> {
    let not_null = if db.major() >= 18 { "" } else { " AND contype <> 'n'" };
    let queries = [
        // In order of their numbers but without the numbers, because those of dropped columns are gone.
        "SELECT 'column', c.oid::regclass, c.relkind, c.relpersistence, a.attname, format_type(a.atttypid, a.atttypmod),
                a.attnotnull, a.attcollation::regcollation, a.attidentity, a.attgenerated, a.attstorage,
                coalesce(nullif((to_jsonb(a)->>'attstattarget')::int, -1), -1), a.attoptions,
                row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), pg_get_expr(d.adbin, CASE WHEN a.attgenerated = '' THEN 0 ELSE d.adrelid END)
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'c') AND c.relnamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'relation', c.oid::regclass, c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity,
                c.relforcerowsecurity, c.relispartition, pg_get_expr(c.relpartbound, c.oid), c.reloftype::regtype,
                CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
                (SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid),
                (SELECT array_agg(i.inhparent::regclass::text ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid)
         FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I', 'c')
           AND c.relnamespace::regnamespace::text OURS".to_owned(),
        format!("SELECT 'constraint', coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text), contype,
                CASE WHEN conparentid = 0 OR contype <> 'f' THEN conname END, pg_get_constraintdef(oid), convalidated,
                conindid::regclass, contype = 'c' AND connoinherit
         FROM pg_constraint WHERE contype <> 't' AND connamespace::regnamespace::text OURS{not_null}"),
        "SELECT 'index', i.indexrelid::regclass, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisprimary, i.indisexclusion,
                i.indnkeyatts, i.indimmediate, i.indcollation::oid[]::regcollation[],
                (SELECT array_agg(format('%s.%s', n.nspname, o.opcname) ORDER BY u.at) FROM unnest(i.indclass::oid[]) WITH ORDINALITY u(oid, at)
                 JOIN pg_opclass o ON o.oid = u.oid JOIN pg_namespace n ON n.oid = o.opcnamespace)
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace::regnamespace::text OURS
           AND (i.indisvalid OR c.relkind = 'I')".to_owned(),
        "SELECT 'view', c.oid::regclass, pg_get_viewdef(c.oid) FROM pg_class c
         WHERE c.relkind IN ('v', 'm') AND c.relnamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'statistics', pg_get_statisticsobjdef(oid), coalesce(stxstattarget, -1) FROM pg_statistic_ext".to_owned(),
        "SELECT 'policy', * FROM pg_policies".to_owned(),
        "SELECT 'rule', * FROM pg_rules WHERE schemaname OURS".to_owned(),
        "SELECT 'function', p.oid::regprocedure, p.prokind, p.provolatile, p.proparallel, p.procost, p.prorows, p.proretset,
                p.proisstrict, p.proleakproof, p.prosecdef, p.proconfig, p.prosrc, pg_get_function_result(p.oid),
                pg_get_function_arguments(p.oid), CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END
         FROM pg_proc p WHERE p.pronamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'aggregate', a.aggfnoid::regprocedure, to_jsonb(a) - 'aggfnoid' - 'aggtranstype' - 'aggsortop' - 'aggmtranstype',
                aggtranstype::regtype, aggsortop::regoperator
         FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid WHERE p.pronamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'type', t.oid::regtype, t.typtype, t.typnotnull, t.typdefault, t.typbasetype::regtype, t.typtypmod,
                t.typcollation::regcollation,
                (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
                (SELECT format('%s %s %s', rngsubtype::regtype, rngmultitypid::regtype, rngsubdiff) FROM pg_range r WHERE r.rngtypid = t.oid)
         FROM pg_type t WHERE t.typnamespace::regnamespace::text OURS AND t.typtype <> 'b'".to_owned(),
        "SELECT 'operator', oid::regoperator, oprcode, oprcom::regoperator, oprnegate::regoperator, oprrest, oprjoin, oprcanhash, oprcanmerge
         FROM pg_operator WHERE oprnamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'entry', f.opfname, o.amopstrategy, o.amopopr::regoperator, o.amoplefttype::regtype, o.amoprighttype::regtype
         FROM pg_amop o JOIN pg_opfamily f ON f.oid = o.amopfamily WHERE f.opfnamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'support', f.opfname, o.amprocnum, o.amproc::oid::regprocedure, o.amproclefttype::regtype, o.amprocrighttype::regtype
         FROM pg_amproc o JOIN pg_opfamily f ON f.oid = o.amprocfamily WHERE f.opfnamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'class', o.opcname, o.opcdefault, o.opcintype::regtype, o.opckeytype::regtype
         FROM pg_opclass o WHERE o.opcnamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'cast', castsource::regtype, casttarget::regtype, castfunc::regprocedure, castcontext, castmethod FROM pg_cast WHERE oid >= 16384".to_owned(),
        "SELECT 'configuration', c.oid::regconfig, m.maptokentype, m.mapseqno, m.mapdict::regdictionary
         FROM pg_ts_config c LEFT JOIN pg_ts_config_map m ON m.mapcfg = c.oid WHERE c.cfgnamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'dictionary', oid::regdictionary, dictinitoption FROM pg_ts_dict WHERE dictnamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'collation', oid::regcollation, collprovider, collisdeterministic, collcollate, collctype
         FROM pg_collation WHERE collnamespace::regnamespace::text OURS".to_owned(),
        "SELECT 'trigger', pg_get_triggerdef(oid) FROM pg_trigger WHERE (tgtype::int & 64) <> 0".to_owned(),
        "SELECT 'extension', extname, extnamespace::regnamespace FROM pg_extension".to_owned(),
        "SELECT 'sequence', s.seqrelid::regclass, seqtypid::regtype, seqincrement, seqmin, seqmax FROM pg_sequence s".to_owned(),
    ];
    db.run("SET search_path = pg_catalog").await;
    let mut lines = Vec::new();
    for query in queries {
        lines.extend(db.lines(&query.replace("OURS", OURS)).await);
    }
    lines.sort();
    lines
}

/// Fails with the lines that only one of them has.
pub(crate) async fn assert_alike(source: &Database<'_>, built: &Database<'_>) {
    let (theirs, ours) = (describe(source).await, describe(built).await);
    let missing: Vec<_> = theirs.iter().filter(|line| ours.binary_search(line).is_err()).collect();
    let added: Vec<_> = ours.iter().filter(|line| theirs.binary_search(line).is_err()).collect();
    assert!(missing.is_empty() && added.is_empty(), "missing {missing:#?}\nadded {added:#?}");
    assert!(theirs.len() > 5);
}
