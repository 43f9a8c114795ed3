//! `cwmp show config`: the data model's names and a form for people, side by side where there is room.

use ipc_proto::control::ConfigRow;

use super::page::{Page, Tint, clean};

/// Columns from which on both forms stand side by side.
const SIDE_BY_SIDE: usize = 120;

/// What the worker runs with; what is pending is marked.
pub fn config(rows: &[ConfigRow], page: Page) -> String {
    let people = |row: &ConfigRow| format!("{}: {}", row.label, value(row));
    let model = |row: &ConfigRow| {
        let name = row.path.as_deref().unwrap_or(&row.name);
        format!("{name} = {}", row.value)
    };
    let widest = rows.iter().map(|row| model(row).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    if page.width.is_some_and(|width| width >= SIDE_BY_SIDE) {
        let left = widest.min(page.width.map_or(SIDE_BY_SIDE, |width| width * 3 / 5));
        for row in rows {
            text.push_str(&page.hang(&format!("{:left$}  ", clean(&model(row))), &people(row)));
            text.push_str(&pending(row, page));
        }
        return text;
    }
    rows.iter().for_each(|row| text.push_str(&page.hang("", &model(row))));
    text.push('\n');
    for row in rows {
        text.push_str(&page.hang("", &people(row)));
        text.push_str(&pending(row, page));
    }
    text
}

fn value(row: &ConfigRow) -> &str {
    if row.value.is_empty() { "(empty)" } else { &row.value }
}

fn pending(row: &ConfigRow, page: Page) -> String {
    let Some(new) = &row.pending else { return String::new() };
    let text = page.hang("  * ", &format!("pending: {new} (waits for `apply`)"));
    text.lines().map(|line| format!("{}\n", page.tint(Tint::Waits, line))).collect()
}
