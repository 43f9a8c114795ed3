//! AddObject and DeleteObject (TR-069 A.3.2.6, A.3.2.7): which rows may come and go.

use ipc_proto::{Fault, FaultCode};

use super::tree::{Node, RowId, Tree};
use crate::store::Write;

/// The write that adds a row to the table of that name, and the new row's number.
pub fn add(tree: &Tree, name: &str) -> Result<(Write, u32), Fault> {
    let found = tree.table(name).filter(|(row, table)| tree.is_writable(Node::Object(*row, *table)));
    let (row, table) = found.ok_or_else(|| unknown(name))?;
    let number = tree
        .next_number(row, table)
        .ok_or_else(|| Fault::new(FaultCode::ResourcesExceeded, "the table is full: delete a row first"))?;
    Ok((Write::AddRow(name.to_owned(), number), number))
}

/// The write that takes the row of that name away.
pub fn delete(tree: &Tree, name: &str) -> Result<Write, Fault> {
    let row = row(tree, name).filter(|row| tree.is_writable(Node::Row(*row)));
    let place = row.and_then(|row| tree.place(row));
    let (above, table, number) = place.ok_or_else(|| unknown(name))?;
    let default = tree.schema().object(table).table.is_some_and(|table| number <= table.rows);
    Ok(Write::RemoveRow { table: tree.path(Node::Object(above, table)), number, default })
}

fn row(tree: &Tree, name: &str) -> Option<RowId> {
    match tree.find(name, false)?.as_slice() {
        [Node::Row(row)] => Some(*row),
        _ => None,
    }
}

/// Nothing of that name, or nothing that may come or go (OBJ-01, OBJ-07).
fn unknown(name: &str) -> Fault {
    Fault::new(FaultCode::InvalidParameterName, &name.chars().take(200).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schema::{Schema, Table};
    use std::sync::Arc;

    fn tree() -> Tree {
        let mut schema = Schema::default();
        let table = |writable| Some(Table { writable, rows: 2, max_rows: 3, index: 0 });
        schema.add_object("Device.T.{i}.", table(true)).unwrap();
        schema.add_object("Device.T.{i}.In.U.{i}.", table(true)).unwrap();
        schema.add_object("Device.R.{i}.", table(false)).unwrap();
        Tree::new(Arc::new(schema))
    }

    fn follow(tree: &mut Tree, write: &Write) {
        match write {
            Write::AddRow(table, number) => tree.add_at(table, *number),
            Write::RemoveRow { table, number, .. } => tree.remove_at(table, *number),
            _ => panic!("{write:?}"),
        }
    }

    #[test]
    fn a_row_comes_with_the_next_number_until_the_table_is_full() {
        let mut tree = tree();
        let (write, number) = add(&tree, "Device.T.").unwrap();
        assert_eq!((&write, number), (&Write::AddRow("Device.T.".to_owned(), 3), 3));
        follow(&mut tree, &write);
        assert!(tree.find("Device.T.3.In.U.2.", false).is_some());
        assert_eq!(add(&tree, "Device.T.").unwrap_err().code, FaultCode::ResourcesExceeded);
        let (write, _) = add(&tree, "Device.T.3.In.U.").unwrap();
        assert_eq!(write, Write::AddRow("Device.T.3.In.U.".to_owned(), 3));
    }

    #[test]
    fn a_row_goes_with_all_below_it_and_its_number_is_not_given_again() {
        let mut tree = tree();
        let write = delete(&tree, "Device.T.2.").unwrap();
        assert_eq!(write, Write::RemoveRow { table: "Device.T.".to_owned(), number: 2, default: true });
        follow(&mut tree, &write);
        assert!(tree.find("Device.T.2.In.", false).is_none());
        let (write, number) = add(&tree, "Device.T.").unwrap();
        assert_eq!(number, 3);
        follow(&mut tree, &write);
        let write = delete(&tree, "Device.T.3.").unwrap();
        assert_eq!(write, Write::RemoveRow { table: "Device.T.".to_owned(), number: 3, default: false });
    }

    #[test]
    fn what_is_no_such_table_or_row_is_9005() {
        let tree = tree();
        for name in [
            "",
            "Device.",
            "Device.T",
            "Device.T.1.",
            "Device.R.",
            "Device.T.9.In.U.",
            "Device.T.*.In.U.",
            "nonsense",
        ] {
            assert_eq!(add(&tree, name).unwrap_err().code, FaultCode::InvalidParameterName, "{name}");
        }
        for name in [
            "",
            "Device.",
            "Device.T.",
            "Device.T.1",
            "Device.T.9.",
            "Device.R.1.",
            "Device.T.*.",
            "Device.T.1.In.",
        ] {
            assert_eq!(delete(&tree, name).unwrap_err().code, FaultCode::InvalidParameterName, "{name}");
        }
    }
}
