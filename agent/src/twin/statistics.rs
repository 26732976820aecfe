//! Statistics as ANALYZE would have left them, written into the catalogs.

use rules::blueprint::{Blueprint, ColumnStatistics, RelationShape};

use super::TwinError;
use super::error::is_of_space;
use super::notes::Notes;
use crate::postgres::{PgError, Session};

/// Columns written at once.
const BATCH: usize = 400;

/// Writes the statistics of all columns and expressions.
pub(super) async fn write(
    session: &Session,
    blueprint: &Blueprint,
    notes: &mut Notes,
) -> Result<(), TwinError> {
    let failed = TwinError::doing("write statistics");
    learn_types(session).await.map_err(&failed)?;
    let all: Vec<&ColumnStatistics> = blueprint.statistics.iter().collect();
    let mut pending: Vec<&[&ColumnStatistics]> = all.chunks(BATCH).collect();
    while let Some(batch) = pending.pop() {
        match insert(session, batch).await {
            Ok(_) => {}
            Err(error) if error.is_lost() || is_of_space(&error) => return Err(failed(error)),
            Err(error) => match batch {
                [] => {}
                [one] => notes.add(&format!(
                    "statistics of {}.{}.{} could not be taken over: {error}",
                    one.schema, one.relation, one.column
                )),
                many => {
                    let (head, tail) = many.split_at(many.len() / 2);
                    pending.extend([head, tail]);
                }
            },
        }
    }
    let unread = "SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format_type(t.type, NULL), ', ') \
                  FROM twin_types AS t WHERE NOT t.readable";
    let row = session.query_one(unread, &[]).await.map_err(&failed)?;
    if let Ok(Some(types)) = row.try_get::<_, Option<String>>(0) {
        notes.add(&format!(
            "reading values of {types} would run code of the schema; statistics of such columns came without their values"
        ));
    }
    Ok(())
}

/// Looks up what statistics of each column's type are made of.
pub(super) async fn learn_types(session: &Session) -> Result<(), PgError> {
    session.execute("DROP TABLE IF EXISTS pg_temp.twin_types", &[]).await?;
    session.execute(include_str!("types.sql"), &[]).await.map(|_| ())
}

/// Writes the statistics of a few columns, all or none.
pub(super) async fn insert(session: &Session, batch: &[&ColumnStatistics]) -> Result<u64, PgError> {
    let texts = |value: &dyn Fn(&ColumnStatistics) -> Option<String>| -> Vec<Option<String>> {
        batch.iter().map(|row| value(row)).collect()
    };
    let reals = |values: &[f32]| (!values.is_empty()).then(|| literal(values));
    let names: [Vec<&str>; 3] = [
        batch.iter().map(|row| row.schema.as_str()).collect(),
        batch.iter().map(|row| row.relation.as_str()).collect(),
        batch.iter().map(|row| row.column.as_str()).collect(),
    ];
    let inherited: Vec<bool> = batch.iter().map(|row| row.inherited).collect();
    let nulls: Vec<f32> = batch.iter().map(|row| row.values.null_fraction).collect();
    let widths: Vec<i32> = batch.iter().map(|row| row.values.avg_width).collect();
    let distinct: Vec<f32> = batch.iter().map(|row| row.values.n_distinct).collect();
    let single = |value: Option<f32>| value.map(|value| literal(&[value]));
    let columns = [
        texts(&|row| row.values.common_values.clone()),
        texts(&|row| reals(&row.values.common_frequencies)),
        texts(&|row| row.values.histogram.clone()),
        texts(&|row| single(row.values.correlation)),
        texts(&|row| row.values.common_elements.clone()),
        texts(&|row| reals(&row.values.element_frequencies)),
        texts(&|row| reals(&row.values.element_counts)),
        texts(&|row| row.values.range_lengths.clone()),
        texts(&|row| single(row.values.range_empty_fraction)),
        texts(&|row| row.values.range_bounds.clone()),
    ];
    let [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9] = &columns;
    session
        .execute(
            include_str!("statistics.sql"),
            &[
                &names[0], &names[1], &names[2], &inherited, &nulls, &widths, &distinct, c0, c1,
                c2, c3, c4, c5, c6, c7, c8, c9,
            ],
        )
        .await
}

/// An array literal of `real`.
fn literal(values: &[f32]) -> String {
    let values: Vec<String> = values.iter().map(f32::to_string).collect();
    format!("{{{}}}", values.join(","))
}

/// Writes sizes and row counts of everything.
pub(super) async fn write_shapes(
    session: &Session,
    shapes: &[&RelationShape],
) -> Result<(), TwinError> {
    let schemas: Vec<&str> = shapes.iter().map(|shape| shape.schema.as_str()).collect();
    let names: Vec<&str> = shapes.iter().map(|shape| shape.name.as_str()).collect();
    let whole = |pages: u32| i32::try_from(pages).unwrap_or(i32::MAX);
    let pages: Vec<i32> = shapes.iter().map(|shape| whole(shape.rel_pages)).collect();
    let tuples: Vec<f32> = shapes.iter().map(|shape| shape.rel_tuples as f32).collect();
    let visible: Vec<i32> = shapes.iter().map(|shape| whole(shape.rel_all_visible)).collect();
    session
        .execute(include_str!("shapes.sql"), &[&schemas, &names, &pages, &tuples, &visible])
        .await
        .map(|_| ())
        .map_err(TwinError::doing("write sizes and row counts"))
}
