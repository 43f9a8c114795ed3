//! What is in the tree: every parameter with its type, access and backing; every object.

use std::collections::BTreeMap;

use ipc_proto::{ParamPath, ParamType};

use crate::{
    config::table::{Access, Row, TABLE},
    device::live::Live,
};

/// A node of the tree.
#[derive(Clone, Debug)]
pub enum Node {
    /// An object that is no table: nothing in this tree can be added or deleted yet.
    Object,
    /// A parameter.
    Parameter(Parameter),
}

/// A parameter of the tree.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its type.
    pub param_type: ParamType,
    /// The ACS may set it.
    pub writable: bool,
    /// Where the value comes from.
    pub backing: Backing,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug)]
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

/// What the data model has beside the parameter table; all of it read-only.
static OTHERS: &[(&str, ParamType, Backing)] = &[
    ("Device.RootDataModelVersion", ParamType::String, Backing::Fixed("2.17")),
    ("Device.DeviceInfo.Manufacturer", ParamType::String, Backing::Info(Info::Manufacturer)),
    ("Device.DeviceInfo.ManufacturerOUI", ParamType::String, Backing::Info(Info::Oui)),
    ("Device.DeviceInfo.ModelName", ParamType::String, Backing::Info(Info::ModelName)),
    ("Device.DeviceInfo.ProductClass", ParamType::String, Backing::Info(Info::ProductClass)),
    ("Device.DeviceInfo.SerialNumber", ParamType::String, Backing::Info(Info::SerialNumber)),
    ("Device.DeviceInfo.HardwareVersion", ParamType::String, Backing::Info(Info::HardwareVersion)),
    ("Device.DeviceInfo.SoftwareVersion", ParamType::String, Backing::Info(Info::SoftwareVersion)),
    ("Device.DeviceInfo.UpTime", ParamType::UnsignedInt, Backing::Live(Live::UpTime)),
    ("Device.DeviceInfo.MemoryStatus.Total", ParamType::UnsignedInt, Backing::Live(Live::MemoryTotal)),
    ("Device.DeviceInfo.MemoryStatus.Free", ParamType::UnsignedInt, Backing::Live(Live::MemoryFree)),
    ("Device.ManagementServer.SupportedConnReqMethods", ParamType::String, Backing::Fixed("HTTP")),
    ("Device.ManagementServer.ParameterKey", ParamType::String, Backing::ParameterKey),
];

/// Parameters of every Inform of a Device:2 root (INF-06).
pub static FORCED_INFORM: &[&str] = &[
    "Device.RootDataModelVersion",
    "Device.DeviceInfo.HardwareVersion",
    "Device.DeviceInfo.SoftwareVersion",
    "Device.DeviceInfo.ProvisioningCode",
    "Device.ManagementServer.ParameterKey",
    "Device.ManagementServer.ConnectionRequestURL",
];

/// The tree, ordered by path, so that what lies below an object is one range.
pub struct Schema {
    nodes: BTreeMap<ParamPath, Node>,
}

impl Schema {
    /// Builds the tree of this program.
    pub fn new() -> Self {
        let rows = TABLE.iter().filter_map(|row| {
            let writable = row.access != Access::Stack;
            let parameter =
                Parameter { param_type: row.param_type(), writable, backing: Backing::Config(row) };
            Some((row.path?, parameter))
        });
        let others = OTHERS
            .iter()
            .map(|&(path, param_type, backing)| (path, Parameter { param_type, writable: false, backing }));
        let mut nodes = BTreeMap::new();
        for (path, parameter) in rows.chain(others) {
            // Both tables are constants, and a test builds the tree of them.
            let Ok(name) = ParamPath::parse(path) else { continue };
            for (dot, _) in path.match_indices('.') {
                if let Some(Ok(object)) = path.get(..=dot).map(ParamPath::parse) {
                    nodes.entry(object).or_insert(Node::Object);
                }
            }
            nodes.insert(name, Node::Parameter(parameter));
        }
        Self { nodes }
    }

    /// The parameter of that full path.
    pub fn parameter(&self, path: &ParamPath) -> Option<&Parameter> {
        match self.nodes.get(path)? {
            Node::Parameter(parameter) => Some(parameter),
            Node::Object => None,
        }
    }

    /// True when there is a node of exactly that path; the empty path is the tree itself.
    pub fn has(&self, path: &ParamPath) -> bool {
        path.as_str().is_empty() || self.nodes.contains_key(path)
    }

    /// The node itself and, below an object, everything.
    pub fn below<'a>(&'a self, path: &'a ParamPath) -> impl Iterator<Item = (&'a ParamPath, &'a Node)> {
        self.nodes.range(path..).take_while(|(name, _)| path.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ParamPath {
        ParamPath::parse(text).unwrap()
    }

    #[test]
    fn every_row_with_a_path_and_every_other_parameter_is_in_the_tree() {
        let schema = Schema::new();
        let rows = TABLE.iter().filter_map(|row| row.path);
        for name in rows.chain(OTHERS.iter().map(|(path, ..)| *path)).chain(FORCED_INFORM.iter().copied()) {
            assert!(schema.parameter(&path(name)).is_some(), "{name}");
        }
    }

    #[test]
    fn what_lies_below_is_one_range() {
        let schema = Schema::new();
        let memory = path("Device.DeviceInfo.MemoryStatus.");
        let names: Vec<_> = schema.below(&memory).map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "Device.DeviceInfo.MemoryStatus.",
                "Device.DeviceInfo.MemoryStatus.Free",
                "Device.DeviceInfo.MemoryStatus.Total"
            ]
        );
        assert_eq!(schema.below(&path("")).count(), schema.nodes.len());
        assert_eq!(schema.below(&path("Device.DeviceInfo.UpTime")).count(), 1);
    }
}
