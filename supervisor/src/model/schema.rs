//! The schema: every object, table and parameter as a template, before there is any row.

use std::collections::BTreeMap;

use ipc_proto::{
    ParamType,
    path::{self, Segment},
};

use super::{
    limits::Limits,
    root::{OTHERS, Root},
};
use crate::{
    config::table::{Access, Row, TABLE, name},
    device::live::Live,
};

/// An object of the schema; the first is the tree itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId(u32);

/// A parameter of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParameterId(u32);

/// The whole tree.
pub const TREE: ObjectId = ObjectId(0);

/// An object, a table or the tree itself.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its path from the row (or the tree) that it lies in, with its dot.
    pub path_in_row: Box<str>,
    /// The table in whose rows it lies, or the tree. A table lies beside its rows, not in them.
    pub row_of: ObjectId,
    /// Set when it is a table: its path stands before the `{i}`.
    pub table: Option<Table>,
    /// By name: what lies directly below (for a table: below each of its rows).
    pub objects: BTreeMap<Box<str>, ObjectId>,
    /// By name: its own parameters (for a table: of each row).
    pub parameters: BTreeMap<Box<str>, ParameterId>,
    /// How many stored values a row of this table has, or the tree.
    pub slots: u32,
    /// The tables that lie in a row of this table, or in the tree; not those in their rows.
    pub tables: Vec<ObjectId>,
}

/// What makes an object a table (TR-106 2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// AddObject and DeleteObject are allowed.
    pub writable: bool,
    /// Rows that are there from the start, numbered from 1.
    pub rows: u32,
    /// Most rows.
    pub max_rows: u32,
    /// Which of its row's tables it is.
    pub index: u32,
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, without a dot.
    pub name: Box<str>,
    /// The object that it belongs to.
    pub object: ObjectId,
    /// What it is.
    pub facts: Facts,
}

/// What a parameter is.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its type.
    pub param_type: ParamType,
    /// The ACS may set it.
    pub writable: bool,
    /// Where the value comes from.
    pub backing: Backing,
    /// Whether the ACS may have it watched.
    pub notify: ActiveNotify,
}

/// activeNotify of a data model (TR-106 A.2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ActiveNotify {
    /// The ACS decides.
    #[default]
    Normal,
    /// Active notification may be refused (9009).
    CanDeny,
    /// Always active.
    ForceEnabled,
    /// Active until the ACS says otherwise.
    ForceDefaultEnabled,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Backing {
    /// A row of the parameter table.
    Config(&'static Row),
    /// The running system.
    Live(Live),
    /// The settings and the identity.
    Info(Info),
    /// ManagementServer.ParameterKey.
    ParameterKey,
    /// A constant.
    Fixed(&'static str),
    /// How many rows that table has.
    Count(ObjectId),
    /// The store.
    Stored {
        /// Which of its row's stored values it is.
        slot: u32,
        /// The value that nobody set.
        default: Box<str>,
        /// What it takes.
        limits: Box<Limits>,
    },
}

/// Facts of the device that do not change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Info {
    /// DeviceId.
    Manufacturer,
    /// DeviceId.
    Oui,
    /// Settings.
    ModelName,
    /// DeviceId.
    ProductClass,
    /// DeviceId.
    SerialNumber,
    /// Settings.
    HardwareVersion,
    /// Settings.
    SoftwareVersion,
}

/// Why something cannot be added to the schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Not a path, or not of the kind that is wanted.
    #[error("{0:?} is no path of {1}")]
    Path(String, &'static str),
    /// It is there already.
    #[error("{0} is there already")]
    Twice(String),
    /// A `{{i}}` stands where no table was declared.
    #[error("{0} is no table: declare it first with an [[object]] whose path ends in {{i}}.")]
    NoTable(String),
    /// An object of that name is a table.
    #[error("{0} is a table: its rows stand behind {{i}}")]
    IsTable(String),
    /// It lies outside the root.
    #[error("{0} does not begin with {1}.")]
    Root(String, String),
}

/// All templates. Built once at the start, never changed after.
#[derive(Clone, Debug)]
pub struct Schema {
    root: Root,
    objects: Vec<Object>,
    parameters: Vec<Parameter>,
}

impl Default for Schema {
    fn default() -> Self {
        Self::new(Root::Device)
    }
}

impl Schema {
    /// The tree of this program, without model files.
    pub fn new(root: Root) -> Self {
        let tree = Object {
            path_in_row: Box::default(),
            row_of: TREE,
            table: None,
            objects: BTreeMap::new(),
            parameters: BTreeMap::new(),
            slots: 0,
            tables: Vec::new(),
        };
        let mut schema = Self { root, objects: vec![tree], parameters: Vec::new() };
        let read_only = |param_type, backing| Facts {
            param_type,
            writable: false,
            notify: match backing {
                Backing::Live(_) => ActiveNotify::CanDeny,
                Backing::Info(Info::SoftwareVersion) => ActiveNotify::ForceEnabled,
                _ => ActiveNotify::Normal,
            },
            backing,
        };
        let rows = TABLE.iter().filter_map(|row| {
            let notify = match row.name {
                name::PROVISIONING_CODE => ActiveNotify::ForceEnabled,
                name::CON_REQ_URL => ActiveNotify::ForceDefaultEnabled,
                _ => ActiveNotify::Normal,
            };
            let (param_type, writable) = (row.param_type(), row.access != Access::Stack);
            let facts = Facts { param_type, writable, backing: Backing::Config(row), notify };
            Some((root.rooted(row.path?), facts))
        });
        let others = OTHERS
            .iter()
            .map(|(path, param_type, backing)| (root.rooted(path), read_only(*param_type, backing.clone())));
        let own = root
            .own()
            .iter()
            .map(|(path, text)| (root.rooted(path), read_only(ParamType::String, Backing::Fixed(text))));
        for (path, facts) in rows.chain(others).chain(own) {
            // The tables are constants, and a test builds the tree of them.
            let _ = schema.add_parameter(&path, facts);
        }
        schema
    }

    /// The root.
    pub fn root(&self) -> Root {
        self.root
    }

    /// An object; an id comes from this schema, and one that does not is the tree itself.
    pub fn object(&self, id: ObjectId) -> &Object {
        let found = usize::try_from(id.0).ok().and_then(|n| self.objects.get(n));
        found.unwrap_or_else(|| self.tree())
    }

    /// A parameter, if the id comes from this schema.
    pub fn parameter(&self, id: ParameterId) -> Option<&Parameter> {
        self.parameters.get(usize::try_from(id.0).ok()?)
    }

    /// Parameters that are watched until the ACS says otherwise.
    pub fn watched_by_default(&self) -> impl Iterator<Item = ParameterId> {
        let watched = |parameter: &Parameter| {
            matches!(parameter.facts.notify, ActiveNotify::ForceEnabled | ActiveNotify::ForceDefaultEnabled)
        };
        let all = (0u32..).zip(&self.parameters);
        all.filter(move |(_, parameter)| watched(parameter)).map(|(n, _)| ParameterId(n))
    }

    /// The path of a parameter in every row, with `*` for the rows' numbers.
    pub fn pattern(&self, id: ParameterId) -> String {
        let Some(parameter) = self.parameter(id) else { return String::new() };
        let mut pattern = parameter.name.to_string();
        let mut at = parameter.object;
        while at != TREE {
            let object = self.object(at);
            let row = if object.table.is_some() { "*." } else { "" };
            pattern = format!("{}{row}{pattern}", object.path_in_row);
            at = object.row_of;
        }
        pattern
    }

    #[expect(clippy::indexing_slicing, reason = "made with one object, and none is ever taken out")]
    fn tree(&self) -> &Object {
        &self.objects[0]
    }

    /// Adds an object, or with `table` a table whose path ends in `{i}.`; what is missing above becomes plain
    /// objects.
    pub fn add_object(&mut self, path: &str, table: Option<Table>) -> Result<ObjectId, SchemaError> {
        let segments = self.segments(path, "an object, which ends with a dot")?;
        if !path.ends_with('.') {
            return Err(SchemaError::Path(path.to_owned(), "an object, which ends with a dot"));
        }
        let is_row = segments.last() == Some(&Segment::Placeholder);
        let (above, last) = match (table.is_some(), segments.as_slice()) {
            (true, [above @ .., Segment::Name(last), Segment::Placeholder]) => (above, *last),
            (false, [above @ .., Segment::Name(last)]) if !is_row => (above, *last),
            (true, _) => return Err(SchemaError::Path(path.to_owned(), "a table, which ends with {i}.")),
            (false, _) => return Err(SchemaError::Path(path.to_owned(), "an object without rows")),
        };
        let parent = self.descend(path, above)?;
        if self.object(parent).objects.contains_key(last) {
            return Err(SchemaError::Twice(path.to_owned()));
        }
        Ok(self.push_object(parent, last, table))
    }

    /// Adds a parameter; what is missing above becomes plain objects. A stored one is given its slot here.
    pub fn add_parameter(&mut self, path: &str, mut facts: Facts) -> Result<ParameterId, SchemaError> {
        let segments = self.segments(path, "a parameter")?;
        let wrong = || SchemaError::Path(path.to_owned(), "a parameter");
        let [above @ .., Segment::Name(last)] = segments.as_slice() else { return Err(wrong()) };
        if path.ends_with('.') {
            return Err(wrong());
        }
        let object = self.descend(path, above)?;
        if self.object(object).parameters.contains_key(*last) {
            return Err(SchemaError::Twice(path.to_owned()));
        }
        let row = self.row_below(object);
        if let Backing::Stored { slot, .. } = &mut facts.backing {
            *slot = self.object(row).slots;
            if let Some(row) = self.object_mut(row) {
                row.slots += 1;
            }
        }
        let id = ParameterId(u32::try_from(self.parameters.len()).unwrap_or(u32::MAX));
        self.parameters.push(Parameter { name: (*last).into(), object, facts });
        if let Some(object) = self.object_mut(object) {
            object.parameters.insert((*last).into(), id);
        }
        Ok(id)
    }

    /// The row in which what is below an object lies: a table's own, else the object's.
    pub fn row_below(&self, id: ObjectId) -> ObjectId {
        let object = self.object(id);
        if object.table.is_some() { id } else { object.row_of }
    }

    fn object_mut(&mut self, id: ObjectId) -> Option<&mut Object> {
        self.objects.get_mut(usize::try_from(id.0).ok()?)
    }

    fn segments<'a>(&self, path: &'a str, wanted: &'static str) -> Result<Vec<Segment<'a>>, SchemaError> {
        let wrong = || SchemaError::Path(path.to_owned(), wanted);
        let segments = path::segments(path).map_err(|_| wrong())?;
        match segments.first() {
            Some(Segment::Name(first)) if *first == self.root.name() && segments.len() > 1 => Ok(segments),
            Some(_) => Err(SchemaError::Root(path.to_owned(), self.root.name().to_owned())),
            None => Err(wrong()),
        }
    }

    /// The object of those segments, made where it is missing; tables must be there.
    fn descend(&mut self, path: &str, segments: &[Segment<'_>]) -> Result<ObjectId, SchemaError> {
        let mut at = TREE;
        let mut row_wanted = false;
        for segment in segments {
            match *segment {
                Segment::Placeholder if row_wanted => row_wanted = false,
                Segment::Name(name) if !row_wanted => {
                    at = match self.object(at).objects.get(name) {
                        Some(id) => *id,
                        None => self.push_object(at, name, None),
                    };
                    row_wanted = self.object(at).table.is_some();
                }
                Segment::Name(_) => return Err(SchemaError::IsTable(path.to_owned())),
                _ => return Err(SchemaError::NoTable(path.to_owned())),
            }
        }
        if row_wanted { Err(SchemaError::IsTable(path.to_owned())) } else { Ok(at) }
    }

    fn push_object(&mut self, parent: ObjectId, name: &str, table: Option<Table>) -> ObjectId {
        let id = ObjectId(u32::try_from(self.objects.len()).unwrap_or(u32::MAX));
        let row_of = self.row_below(parent);
        let above = if row_of == parent { "" } else { &self.object(parent).path_in_row };
        let path_in_row = format!("{above}{name}.").into();
        let index = u32::try_from(self.object(row_of).tables.len()).unwrap_or(u32::MAX);
        let table = table.map(|table| Table { index, ..table });
        if table.is_some()
            && let Some(row) = self.object_mut(row_of)
        {
            row.tables.push(id);
        }
        let (objects, parameters) = (BTreeMap::new(), BTreeMap::new());
        self.objects.push(Object {
            path_in_row,
            row_of,
            table,
            objects,
            parameters,
            slots: 0,
            tables: Vec::new(),
        });
        if let Some(parent) = self.object_mut(parent) {
            parent.objects.insert(name.into(), id);
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Facts {
        Facts {
            param_type: ParamType::String,
            writable: true,
            backing: Backing::Stored { slot: 0, default: "x".into(), limits: Box::default() },
            notify: ActiveNotify::Normal,
        }
    }

    fn table() -> Option<Table> {
        Some(Table { writable: true, rows: 0, max_rows: 10, index: 0 })
    }

    #[test]
    fn both_roots_take_every_row_of_the_table_and_have_what_their_inform_needs() {
        for root in [Root::Device, Root::InternetGatewayDevice] {
            let schema = Schema::new(root);
            let rows = TABLE.iter().filter(|row| row.path.is_some()).count();
            assert_eq!(schema.parameters.len(), rows + OTHERS.len() + root.own().len());
        }
    }

    #[test]
    fn slots_and_tables_are_counted_by_row() {
        let mut schema = Schema::default();
        let outer = schema.add_object("Device.X.{i}.", table()).unwrap();
        let inner = schema.add_object("Device.X.{i}.In.Y.{i}.", table()).unwrap();
        schema.add_parameter("Device.X.{i}.A", stored()).unwrap();
        schema.add_parameter("Device.X.{i}.In.B", stored()).unwrap();
        schema.add_parameter("Device.X.{i}.In.Y.{i}.C", stored()).unwrap();
        assert_eq!((schema.object(outer).slots, schema.object(inner).slots, schema.tree().slots), (2, 1, 0));
        assert_eq!(&*schema.object(outer).path_in_row, "Device.X.");
        assert_eq!(&*schema.object(inner).path_in_row, "In.Y.");
        assert_eq!(schema.object(inner).row_of, outer);
        assert_eq!(schema.object(outer).tables, [inner]);
    }

    #[test]
    fn what_cannot_be_added_is_refused_with_its_reason() {
        let mut schema = Schema::default();
        schema.add_object("Device.X.{i}.", table()).unwrap();
        let mut parameter = |path: &str| schema.add_parameter(path, stored()).unwrap_err().to_string();
        assert!(parameter("Device.DeviceInfo.UpTime").ends_with("is there already"));
        assert!(parameter("Device.X.Y").contains("is a table"));
        assert!(parameter("Device.Z.{i}.Y").contains("is no table"));
        assert!(parameter("Other.Y").contains("does not begin with Device."));
        assert!(parameter("Device.Y.").contains("no path of a parameter"));
        assert!(parameter("Device.1.Y").contains("is no table"));
        assert!(schema.add_object("Device.X.{i}.", table()).is_err());
        assert!(schema.add_object("Device.Q.", table()).is_err());
        assert!(schema.add_object("Device.Q.{i}.", None).is_err());
    }
}
