//! The tree as it is: which rows there are, and what is stored in them.
//!
//! A row keeps its stored values in slots that the schema counted, and no path: names are put together when
//! someone reads them.

use std::{collections::BTreeMap, sync::Arc};

use ipc_proto::path::{Segment, segment};

use super::schema::{Backing, Object, ObjectId, Parameter, ParameterId, Schema, TREE, Table};

/// A row of a table; the first is what lies in no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(u32);

/// What lies in no table.
pub const TOP: RowId = RowId(0);

/// Something that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// An object, or a table without its rows, of that row.
    Object(RowId, ObjectId),
    /// A row.
    Row(RowId),
    /// A parameter of that row.
    Parameter(RowId, ParameterId),
}

#[derive(Debug)]
struct Row {
    above: RowId,
    table: ObjectId,
    number: u32,
    values: Box<[Option<Box<str>>]>,
    tables: Box<[Rows]>,
}

/// The rows of one table in one row.
#[derive(Debug, Default)]
struct Rows {
    by_number: BTreeMap<u32, RowId>,
    /// Larger than every number that was ever given (TYPE-07).
    next: u32,
}

/// Schema, rows and stored values.
#[derive(Debug)]
pub struct Tree {
    schema: Arc<Schema>,
    /// A row that was deleted leaves its place empty, for the next one.
    rows: Vec<Option<Row>>,
    free: Vec<RowId>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Tree {
    /// The tree with the rows that are there from the start, and no stored values.
    pub fn new(schema: Arc<Schema>) -> Self {
        let mut tree = Self { schema, rows: Vec::new(), free: Vec::new() };
        tree.make(TOP, TREE, 0);
        tree
    }

    /// As from the factory.
    pub fn reset(&mut self) {
        *self = Self::new(self.schema.clone());
    }

    /// Follows what is on disk. What the schema does not have (any more) stays there and out of the way.
    pub fn load(&mut self, next: &[(String, u32)], rows: &[(String, bool)], values: &[(String, String)]) {
        for (row, present) in rows {
            let Some((table, number)) = split_row(row) else { continue };
            if *present { self.add_at(table, number) } else { self.remove_at(table, number) }
        }
        for (table, next) in next {
            if let Some((row, table)) = self.table(table) {
                self.skip_numbers(row, table, *next);
            }
        }
        values.iter().for_each(|(path, text)| self.store_at(path, text));
    }

    /// Adds a row to the table of that path.
    pub fn add_at(&mut self, table: &str, number: u32) {
        if let Some((row, table)) = self.table(table) {
            self.add(row, table, number);
        }
    }

    /// Takes a row of the table of that path away.
    pub fn remove_at(&mut self, table: &str, number: u32) {
        let found = self.table(table).and_then(|(row, table)| self.row_numbered(row, table, number));
        if let Some(row) = found {
            self.remove(row);
        }
    }

    /// Sets the stored value of that path.
    pub fn store_at(&mut self, path: &str, text: &str) {
        if let Some((row, id)) = self.parameter(path).map(|(row, id, _)| (row, id)) {
            self.store(row, id, Some(text));
        }
    }

    /// The table of that path, such as `Device.Table.`, in the row that it lies in.
    pub fn table(&self, path: &str) -> Option<(RowId, ObjectId)> {
        match self.find(path, false)?.as_slice() {
            [Node::Object(row, object)] if self.schema.object(*object).table.is_some() => {
                Some((*row, *object))
            }
            _ => None,
        }
    }

    fn row_numbered(&self, row: RowId, table: ObjectId, number: u32) -> Option<RowId> {
        self.rows_of(row, table)?.by_number.get(&number).copied()
    }

    /// The templates.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Makes a row with the rows below it that are there from the start.
    fn make(&mut self, above: RowId, table: ObjectId, number: u32) -> RowId {
        let schema = self.schema.clone();
        let object = schema.object(table);
        let slots = usize::try_from(object.slots).unwrap_or(0);
        let tables = object.tables.iter().map(|_| Rows { by_number: BTreeMap::new(), next: 1 }).collect();
        let row = Row { above, table, number, values: vec![None; slots].into(), tables };
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.rows.get_mut(index(id)) {
                    *place = Some(row);
                }
                id
            }
            None => {
                self.rows.push(Some(row));
                RowId(u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX))
            }
        };
        for below in &object.tables {
            let rows = schema.object(*below).table.map_or(0, |table| table.rows);
            for number in 1..=rows {
                self.add(id, *below, number);
            }
        }
        id
    }

    fn row(&self, id: RowId) -> Option<&Row> {
        self.rows.get(index(id))?.as_ref()
    }

    fn rows_of(&self, row: RowId, table: ObjectId) -> Option<&Rows> {
        let at = self.schema.object(table).table?.index;
        self.row(row)?.tables.get(usize::try_from(at).ok()?)
    }

    fn rows_of_mut(&mut self, row: RowId, table: ObjectId) -> Option<&mut Rows> {
        let at = self.schema.object(table).table?.index;
        self.rows.get_mut(index(row))?.as_mut()?.tables.get_mut(usize::try_from(at).ok()?)
    }

    /// Adds a row of that number, if there is none yet.
    pub fn add(&mut self, row: RowId, table: ObjectId, number: u32) {
        if self.rows_of(row, table).is_none_or(|rows| rows.by_number.contains_key(&number)) {
            return;
        }
        let id = self.make(row, table, number);
        if let Some(rows) = self.rows_of_mut(row, table) {
            rows.by_number.insert(number, id);
            rows.next = rows.next.max(number.saturating_add(1));
        }
    }

    /// Takes a row away with everything below; its number is not given again while others are left.
    pub fn remove(&mut self, id: RowId) {
        let Some(row) = self.rows.get_mut(index(id)).and_then(Option::take) else { return };
        if let Some(rows) = self.rows_of_mut(row.above, row.table) {
            rows.by_number.remove(&row.number);
        }
        self.free.push(id);
        let below = row.tables.iter().flat_map(|rows| rows.by_number.values().copied());
        below.collect::<Vec<_>>().into_iter().for_each(|id| self.remove(id));
    }

    /// Numbers below this one were given before.
    pub fn skip_numbers(&mut self, row: RowId, table: ObjectId, next: u32) {
        if let Some(rows) = self.rows_of_mut(row, table) {
            rows.next = rows.next.max(next);
        }
    }

    /// The number of the next row, or none when the table is full.
    pub fn next_number(&self, row: RowId, table: ObjectId) -> Option<u32> {
        let Table { max_rows, .. } = self.schema.object(table).table?;
        let rows = self.rows_of(row, table)?;
        if self.count(row, table) >= max_rows {
            return None;
        }
        // Only when every number was given once: the smallest that is free (TYPE-07).
        let unused = || (1..u32::MAX).find(|number| !rows.by_number.contains_key(number));
        if rows.next < u32::MAX { Some(rows.next) } else { unused() }
    }

    /// How many rows a table has.
    pub fn count(&self, row: RowId, table: ObjectId) -> u32 {
        self.rows_of(row, table).map_or(0, |rows| u32::try_from(rows.by_number.len()).unwrap_or(u32::MAX))
    }

    /// The table of a row, and its number there.
    pub fn place(&self, row: RowId) -> Option<(RowId, ObjectId, u32)> {
        self.row(row).map(|row| (row.above, row.table, row.number))
    }

    /// A stored value, or its default; `None` for a parameter that is not stored.
    pub fn stored<'a>(&'a self, row: RowId, parameter: &'a Parameter) -> Option<&'a str> {
        let Backing::Stored { slot, default, .. } = &parameter.facts.backing else { return None };
        let value = self.row(row)?.values.get(usize::try_from(*slot).ok()?)?;
        Some(value.as_deref().unwrap_or(default))
    }

    /// Sets a stored value, or takes it back to its default.
    pub fn store(&mut self, row: RowId, parameter: ParameterId, text: Option<&str>) {
        let Some(Backing::Stored { slot, .. }) = self.schema.parameter(parameter).map(|p| &p.facts.backing)
        else {
            return;
        };
        let slot = usize::try_from(*slot).unwrap_or(usize::MAX);
        let row = self.rows.get_mut(index(row)).and_then(Option::as_mut);
        if let Some(value) = row.and_then(|row| row.values.get_mut(slot)) {
            *value = text.map(Into::into);
        }
    }

    /// What a name stands for: one node, or with `*` for instance numbers any number of them (GPV-08). `None`
    /// when there is nothing of that name, not even a table without rows.
    pub fn find(&self, name: &str, wildcards: bool) -> Option<Vec<Node>> {
        if name.is_empty() {
            return Some(vec![Node::Object(TOP, TREE)]);
        }
        let mut at = TREE;
        let mut rows = vec![TOP];
        // Behind a table its rows' numbers come next.
        let mut row_wanted = false;
        let mut any = false;
        let object_named = name.ends_with('.');
        let mut parts = name.strip_suffix('.').unwrap_or(name).split('.').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            if row_wanted {
                rows = if part == "*" && wildcards {
                    any = true;
                    let all = rows.iter().filter_map(|row| self.rows_of(*row, at));
                    all.flat_map(|rows| rows.by_number.values().copied()).collect()
                } else {
                    let Ok(Segment::Instance(number)) = segment(part) else { return None };
                    rows.iter().filter_map(|row| self.row_numbered(*row, at, number)).collect()
                };
                if rows.is_empty() && !any {
                    return None;
                }
                row_wanted = false;
                continue;
            }
            let object = self.schema.object(at);
            if last && !object_named {
                let parameter = *object.parameters.get(part)?;
                return Some(rows.into_iter().map(|row| Node::Parameter(row, parameter)).collect());
            }
            at = *object.objects.get(part)?;
            row_wanted = self.schema.object(at).table.is_some();
        }
        if !object_named {
            // `Device.Table.3`, without the dot.
            return None;
        }
        let is_row = self.schema.object(at).table.is_some() && !row_wanted;
        let node = |row| if is_row { Node::Row(row) } else { Node::Object(row, at) };
        Some(rows.into_iter().map(node).collect())
    }

    /// The one parameter of a full path.
    pub fn parameter(&self, name: &str) -> Option<(RowId, ParameterId, &Parameter)> {
        match self.find(name, false)?.as_slice() {
            [Node::Parameter(row, id)] => Some((*row, *id, self.schema.parameter(*id)?)),
            _ => None,
        }
    }

    /// True for what the ACS may set, a table that takes AddObject and a row that takes DeleteObject (GPN-07).
    pub fn is_writable(&self, node: Node) -> bool {
        let takes_rows =
            |table: ObjectId| self.schema.object(table).table.is_some_and(|table| table.writable);
        match node {
            Node::Parameter(_, id) => self.schema.parameter(id).is_some_and(|p| p.facts.writable),
            Node::Object(_, id) => takes_rows(id),
            Node::Row(row) => self.row(row).is_some_and(|row| takes_rows(row.table)),
        }
    }

    /// What lies directly below: parameters first, then objects, and rows below their table.
    pub fn children(&self, node: Node, visit: &mut impl FnMut(Node)) {
        let (row, object): (RowId, &Object) = match node {
            Node::Parameter(..) => return,
            Node::Row(id) => match self.row(id) {
                Some(row) => (id, self.schema.object(row.table)),
                None => return,
            },
            Node::Object(row, id) => {
                if let Some(rows) = self.rows_of(row, id) {
                    return rows.by_number.values().for_each(|row| visit(Node::Row(*row)));
                }
                (row, self.schema.object(id))
            }
        };
        object.parameters.values().for_each(|id| visit(Node::Parameter(row, *id)));
        object.objects.values().for_each(|id| visit(Node::Object(row, *id)));
    }

    /// The node itself and everything below, each before what lies below it. Goes as deep as the schema does.
    pub fn walk(&self, node: Node, visit: &mut (dyn FnMut(Node) + '_)) {
        visit(node);
        self.children(node, &mut |child| self.walk(child, visit));
    }

    /// Writes a row's path, with its dot; nothing for what lies in no table.
    pub fn row_path(&self, row: RowId, out: &mut String) {
        if row == TOP {
            return;
        }
        let Some(Row { above, table, number, .. }) = self.row(row) else { return };
        self.row_path(*above, out);
        out.push_str(&self.schema.object(*table).path_in_row);
        // Writing to a String cannot fail.
        let _ = std::fmt::Write::write_fmt(out, format_args!("{number}."));
    }

    /// A node's full path.
    pub fn path(&self, node: Node) -> String {
        let mut namer = Namer::default();
        namer.path(self, node).to_owned()
    }
}

/// Puts paths together, one after the other, and remembers the row that the last one was in.
#[derive(Debug, Default)]
pub struct Namer {
    row: Option<RowId>,
    row_length: usize,
    text: String,
}

impl Namer {
    /// The full path of a node.
    pub fn path(&mut self, tree: &Tree, node: Node) -> &str {
        let (Node::Object(row, _) | Node::Row(row) | Node::Parameter(row, _)) = node;
        if self.row == Some(row) {
            self.text.truncate(self.row_length);
        } else {
            self.text.clear();
            tree.row_path(row, &mut self.text);
            self.row = Some(row);
            self.row_length = self.text.len();
        }
        match node {
            Node::Row(_) => {}
            Node::Object(_, id) => self.text.push_str(&tree.schema.object(id).path_in_row),
            Node::Parameter(_, id) => {
                if let Some(parameter) = tree.schema.parameter(id) {
                    let object = tree.schema.object(parameter.object);
                    // A table's own parameters stand in its rows, whose path is there already.
                    if object.table.is_none() {
                        self.text.push_str(&object.path_in_row);
                    }
                    self.text.push_str(&parameter.name);
                }
            }
        }
        &self.text
    }
}

/// `Device.Table.3.` as its table and its number.
fn split_row(path: &str) -> Option<(&str, u32)> {
    let row = path.strip_suffix('.')?;
    let (table, number) = row.split_at_checked(row.rfind('.')? + 1)?;
    Some((table, number.parse().ok()?))
}

fn index(id: RowId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
