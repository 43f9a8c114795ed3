//! `cwmp show config`: the data model's names and a form for people, side by side where there is room.

use ipc_proto::control::ConfigRow;

use super::page::{Page, Tint, clean, columns};

/// Columns from which on both forms stand side by side.
const SIDE_BY_SIDE: usize = 120;

/// What the worker runs with; what is pending is marked.
pub fn config(rows: &[ConfigRow], page: Page) -> String {
    let people = |row: &ConfigRow| format!("{}: {}", row.label, value(row));
    let model = |row: &ConfigRow| {
        let name = row.path.as_deref().unwrap_or(&row.name);
        format!("{name} = {}", row.value)
    };
    let widest = rows.iter().map(|row| columns(&model(row))).max().unwrap_or(0);
    let mut text = String::new();
    if page.width.is_some_and(|width| width >= SIDE_BY_SIDE) {
        let left = widest.min(page.width.map_or(SIDE_BY_SIDE, |width| width * 3 / 5));
        for row in rows {
            let model = clean(&model(row));
            let fits = columns(&model) <= left;
            if !fits {
                text.push_str(&page.hang("", &model));
            }
            let beside = if fits { model.as_str() } else { "" };
            text.push_str(&page.hang(&format!("{beside:left$}  "), &people(row)));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<ConfigRow> {
        let row = |path: Option<&str>, value: String, pending: Option<&str>| ConfigRow {
            path: path.map(str::to_owned),
            label: "ACS URL".to_owned(),
            name: "cwmp.acs_url".to_owned(),
            value,
            pending: pending.map(str::to_owned),
        };
        vec![
            row(Some("Device.ManagementServer.URL"), "http://a/".to_owned(), Some("http://b/")),
            row(None, "x".repeat(300), None),
            row(None, "\u{1b}[2J".to_owned(), None),
        ]
    }

    #[test]
    fn it_fits_into_every_width() {
        for width in [20, 80, 200] {
            let text = config(&rows(), Page { width: Some(width), colours: false });
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            assert!(!text.contains('\u{1b}'), "{text}");
        }
    }

    #[test]
    fn both_forms_stand_side_by_side_where_there_is_room() {
        let text = config(&rows()[..1], Page { width: Some(120), colours: false });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Device.ManagementServer.URL = http://a/  ACS URL: http://a/");
        assert!(lines[1].contains("pending: http://b/"), "{text}");
        let narrow = config(&rows()[..1], Page { width: Some(80), colours: false });
        assert!(
            narrow.starts_with("Device.ManagementServer.URL = http://a/\n\nACS URL: http://a/\n"),
            "{narrow}"
        );
    }
}
