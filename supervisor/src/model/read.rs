//! Reading: names resolved before anything is answered, values put into pages when they are asked for.
//!
//! Whatever can fail or move is settled by `prepare`: which names there are, and the live values. Stored values
//! cannot change while the session is open, but by its own writes, which release the read (DECISIONS 40).

use std::collections::BTreeMap;

use ipc_proto::{
    Fault, FaultCode, ParamType, Value,
    listing::Listing,
    worker::{Attributes, DeviceId, Page, Read},
};

use super::{
    attributes::AttributeTable,
    schema::{Backing, Info, Parameter},
    tree::{Namer, Node, RowId, Tree},
};
use crate::{config::layers::Layers, device::live::Live, settings::DeviceSettings};

/// Entries of a page at the most.
const PAGE_ENTRIES: usize = 1000;
/// Bytes of names and values after which a page is full.
const PAGE_BYTES: usize = 256 * 1024;
/// Entries that a read may have in all: 12 MiB while it is prepared.
const MAX_ENTRIES: usize = 1_000_000;

/// Where values come from; borrowed from the hub's state.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Rows and stored values.
    pub tree: &'a Tree,
    /// Configuration.
    pub layers: &'a Layers,
    /// Identity.
    pub device: &'a DeviceId,
    /// Versions.
    pub settings: &'a DeviceSettings,
    /// ManagementServer.ParameterKey.
    pub parameter_key: &'a str,
    /// Attributes.
    pub attributes: &'a AttributeTable,
}

impl Sources<'_> {
    /// Hands the present value to `take`, as it stands in a SOAP message; secrets read as empty (GPV-06).
    pub fn with_value<R>(&self, row: RowId, parameter: &Parameter, take: impl FnOnce(&str) -> R) -> R {
        let text = match &parameter.facts.backing {
            Backing::Stored { .. } => self.tree.stored(row, parameter).unwrap_or_default(),
            Backing::Live(live) => return take(&live.read().to_string()),
            Backing::Count(table) => return take(&self.tree.count(row, *table).to_string()),
            Backing::Config(table_row) if table_row.secret => "",
            Backing::Config(table_row) => {
                return take(&table_row.value(self.layers.in_force(table_row).text).to_string());
            }
            Backing::ParameterKey => self.parameter_key,
            Backing::Fixed(text) => text,
            Backing::Info(info) => match info {
                Info::Manufacturer => &self.device.manufacturer,
                Info::Oui => &self.device.oui,
                Info::ModelName => &self.settings.model_name,
                Info::ProductClass => &self.device.product_class,
                Info::SerialNumber => &self.device.serial_number,
                Info::HardwareVersion => &self.settings.hardware_version,
                Info::SoftwareVersion => &self.settings.software_version,
            },
        };
        take(text)
    }

    /// The parameters of every Inform (INF-06).
    pub fn forced_inform(&self) -> Listing<ParamType> {
        let root = self.tree.schema().root();
        let mut listing = Listing::default();
        for below in root.forced_inform() {
            let name = format!("{}.{below}", root.name());
            if let Some((row, _, parameter)) = self.tree.parameter(&name) {
                self.with_value(row, parameter, |text| listing.push(&name, text, parameter.facts.param_type));
            }
        }
        listing
    }

    /// The present value of a full path; `None` when there is no such parameter.
    pub fn value(&self, name: &str) -> Option<Value> {
        let (row, _, parameter) = self.tree.parameter(name)?;
        let text = self.with_value(row, parameter, str::to_owned);
        // A value that does not fit its type came from a damaged store: shown as it is.
        Some(Value::parse(parameter.facts.param_type, &text).unwrap_or(Value::String(text)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Values,
    Names,
    Attributes,
}

/// A prepared read.
#[derive(Debug)]
pub struct Capture {
    of: Of,
    nodes: Vec<Node>,
    /// Live values, each read once.
    live: BTreeMap<Live, String>,
    /// Where the pages that are known begin; each is found by writing the one before.
    starts: Vec<usize>,
}

impl Capture {
    /// Resolves and captures. Every fault that there can be comes from here.
    pub fn prepare(sources: Sources<'_>, read: &Read) -> Result<Self, Fault> {
        let mut capture = Self { of: Of::Values, nodes: Vec::new(), live: BTreeMap::new(), starts: vec![0] };
        match read {
            Read::Values(names) => {
                for name in names {
                    for node in existing(sources.tree, name)? {
                        sources.tree.walk(node, &mut |node| capture.value(sources, node));
                        capture.within_limit()?;
                    }
                }
            }
            Read::Attributes(names) => {
                capture.of = Of::Attributes;
                for name in names {
                    for node in existing(sources.tree, name)? {
                        sources.tree.walk(node, &mut |node| capture.attributes(node));
                        capture.within_limit()?;
                    }
                }
            }
            Read::Names { path, next_level } => {
                capture.of = Of::Names;
                for node in existing(sources.tree, path)? {
                    capture.names(sources.tree, path, node, *next_level)?;
                    capture.within_limit()?;
                }
            }
        }
        Ok(capture)
    }

    fn within_limit(&self) -> Result<(), Fault> {
        if self.nodes.len() > MAX_ENTRIES {
            let detail =
                format!("the answer would have more than {MAX_ENTRIES} entries: ask for less at once");
            return Err(Fault::new(FaultCode::ResourcesExceeded, &detail));
        }
        Ok(())
    }

    fn value(&mut self, sources: Sources<'_>, node: Node) {
        let Node::Parameter(row, id) = node else { return };
        let Some(parameter) = sources.tree.schema().parameter(id) else { return };
        if let Backing::Live(live) = parameter.facts.backing {
            self.live.entry(live).or_insert_with(|| sources.with_value(row, parameter, str::to_owned));
        }
        self.nodes.push(node);
    }

    fn attributes(&mut self, node: Node) {
        if matches!(node, Node::Parameter(..)) {
            self.nodes.push(node);
        }
    }

    /// GetParameterNames (TR-069 A.3.2.3).
    fn names(&mut self, tree: &Tree, path: &str, node: Node, next_level: bool) -> Result<(), Fault> {
        match (node, next_level) {
            (Node::Parameter(..), true) => {
                let detail = "NextLevel is only possible for an object, whose name ends with a dot";
                return Err(Fault::new(FaultCode::InvalidArguments, detail));
            }
            (_, true) => tree.children(node, &mut |child| self.nodes.push(child)),
            // The tree itself has no name.
            (_, false) if path.is_empty() => {
                tree.children(node, &mut |child| tree.walk(child, &mut |node| self.nodes.push(node)));
            }
            (_, false) => tree.walk(node, &mut |node| self.nodes.push(node)),
        }
        Ok(())
    }

    /// How many entries all pages have together.
    pub fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Page `page`, from 0; empty past the last. May be asked again.
    pub fn page(&mut self, sources: Sources<'_>, page: u32) -> Page {
        let wanted = usize::try_from(page).unwrap_or(usize::MAX);
        while self.starts.len() <= wanted {
            let known = self.starts.last().copied().unwrap_or(0);
            let next = self.write(sources, known).1;
            if next == known {
                break;
            }
            self.starts.push(next);
        }
        let at = self.starts.get(wanted).copied().unwrap_or(self.nodes.len());
        let (page, next) = self.write(sources, at);
        if self.starts.len() == wanted + 1 {
            self.starts.push(next);
        }
        page
    }

    fn write(&self, sources: Sources<'_>, from: usize) -> (Page, usize) {
        match self.of {
            Of::Values => {
                let (values, next) = self.write_values(sources, from);
                (Page::Values(values), next)
            }
            Of::Names => {
                let (names, next) = self.write_names(sources, from);
                (Page::Names(names), next)
            }
            Of::Attributes => {
                let (attributes, next) = self.write_attributes(sources, from);
                (Page::Attributes(attributes), next)
            }
        }
    }

    fn write_attributes(&self, sources: Sources<'_>, from: usize) -> (Listing<Attributes>, usize) {
        let (mut page, mut namer, mut at) = (Listing::default(), Namer::default(), from);
        for node in self.nodes.iter().skip(from) {
            if page.len() >= PAGE_ENTRIES || page.bytes() >= PAGE_BYTES {
                break;
            }
            if let Node::Parameter(_, id) = *node
                && let Some(parameter) = sources.tree.schema().parameter(id)
            {
                let name = namer.path(sources.tree, *node);
                page.push(name, "", sources.attributes.of(name, parameter));
            }
            at += 1;
        }
        (page, at)
    }

    fn write_values(&self, sources: Sources<'_>, from: usize) -> (Listing<ParamType>, usize) {
        let (mut page, mut namer, mut at) = (Listing::default(), Namer::default(), from);
        for node in self.nodes.iter().skip(from) {
            if page.len() >= PAGE_ENTRIES || page.bytes() >= PAGE_BYTES {
                break;
            }
            if let Node::Parameter(row, id) = *node
                && let Some(parameter) = sources.tree.schema().parameter(id)
            {
                let name = namer.path(sources.tree, *node);
                let param_type = parameter.facts.param_type;
                let captured = match &parameter.facts.backing {
                    Backing::Live(live) => self.live.get(live),
                    _ => None,
                };
                match captured {
                    Some(text) => page.push(name, text, param_type),
                    None => sources.with_value(row, parameter, |text| page.push(name, text, param_type)),
                }
            }
            at += 1;
        }
        (page, at)
    }

    fn write_names(&self, sources: Sources<'_>, from: usize) -> (Listing<bool>, usize) {
        let (mut page, mut namer, mut at) = (Listing::default(), Namer::default(), from);
        for node in self.nodes.iter().skip(from) {
            if page.len() >= PAGE_ENTRIES || page.bytes() >= PAGE_BYTES {
                break;
            }
            page.push(namer.path(sources.tree, *node), "", sources.tree.is_writable(*node));
            at += 1;
        }
        (page, at)
    }
}

/// The nodes of a name; `*` stands for every row (GPV-08).
fn existing(tree: &Tree, name: &str) -> Result<Vec<Node>, Fault> {
    tree.find(name, true).ok_or_else(|| {
        Fault::new(FaultCode::InvalidParameterName, &name.chars().take(200).collect::<String>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::{self, TABLE};

    fn pages(read: &Read) -> Result<Vec<Page>, Fault> {
        let mut layers = Layers::default();
        layers.factory.extend(TABLE.iter().map(|row| (row.name, String::new())));
        layers.factory.insert("cwmp.acs_password", "canary".to_owned());
        layers.factory.insert(table::name::ACS_URL, "http://acs/".to_owned());
        let tree = Tree::default();
        let sources = Sources {
            tree: &tree,
            layers: &layers,
            device: &DeviceId { serial_number: "S1".to_owned(), ..Default::default() },
            settings: &DeviceSettings::default(),
            parameter_key: "key",
            attributes: &AttributeTable::default(),
        };
        let mut capture = Capture::prepare(sources, read)?;
        Ok(vec![capture.page(sources, 0)])
    }

    fn values(names: &[&str]) -> Vec<(String, String)> {
        let read = Read::Values(names.iter().map(|n| (*n).to_owned()).collect());
        let Page::Values(values) = &pages(&read).unwrap()[0] else { panic!("names") };
        values.iter().map(|(name, value, _)| (name.to_owned(), value.to_owned())).collect()
    }

    fn names(path: &str, next_level: bool) -> Vec<(String, bool)> {
        let read = Read::Names { path: path.to_owned(), next_level };
        let Page::Names(names) = &pages(&read).unwrap()[0] else { panic!("values") };
        names.iter().map(|(name, _, writable)| (name.to_owned(), writable)).collect()
    }

    fn fault(read: &Read) -> FaultCode {
        pages(read).unwrap_err().code
    }

    #[test]
    fn values_of_one_parameter_and_of_an_object() {
        let one = values(&["Device.DeviceInfo.SerialNumber"]);
        assert_eq!(one, [("Device.DeviceInfo.SerialNumber".to_owned(), "S1".to_owned())]);
        assert_eq!(values(&["Device.DeviceInfo.MemoryStatus."]).len(), 2);
        let names =
            |values: Vec<(String, String)>| values.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(values(&[""])), names(values(&["Device."])));
    }

    #[test]
    fn connection_requests_come_over_http_and_no_other_way() {
        let name = "Device.ManagementServer.SupportedConnReqMethods";
        assert_eq!(values(&[name]), [(name.to_owned(), "HTTP".to_owned())]);
    }

    #[test]
    fn passwords_read_as_empty() {
        let all = values(&["Device."]);
        assert!(all.iter().any(|(name, value)| name.ends_with(".Password") && value.is_empty()));
        assert!(all.iter().all(|(_, value)| value != "canary"));
    }

    #[test]
    fn unknown_names_and_wrong_dots_are_9005() {
        for name in ["Device.Nonsense", "Device.DeviceInfo", "Device.DeviceInfo.UpTime.", "x..y", "device."] {
            assert_eq!(
                fault(&Read::Values(vec![name.to_owned()])),
                FaultCode::InvalidParameterName,
                "{name}"
            );
            let read = Read::Names { path: name.to_owned(), next_level: false };
            assert_eq!(fault(&read), FaultCode::InvalidParameterName, "{name}");
        }
    }

    #[test]
    fn next_level_lists_children_only() {
        assert_eq!(names("", true), [("Device.".to_owned(), false)]);
        let children = names("Device.", true);
        let expected = ["Device.RootDataModelVersion", "Device.DeviceInfo.", "Device.ManagementServer."];
        assert_eq!(children.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
        assert!(
            names("Device.DeviceInfo.", true)
                .contains(&("Device.DeviceInfo.MemoryStatus.".to_owned(), false))
        );
        let read = Read::Names { path: "Device.DeviceInfo.UpTime".to_owned(), next_level: true };
        assert_eq!(fault(&read), FaultCode::InvalidArguments);
    }

    #[test]
    fn all_levels_list_the_object_itself_too() {
        let all = names("Device.ManagementServer.", false);
        assert_eq!(all.first().unwrap().0, "Device.ManagementServer.");
        assert!(all.contains(&("Device.ManagementServer.URL".to_owned(), true)));
        assert!(all.contains(&("Device.ManagementServer.ConnectionRequestURL".to_owned(), false)));
        assert_eq!(names("Device.DeviceInfo.UpTime", false).len(), 1);
        assert_eq!(names("", false), names("Device.", false));
    }

    /// A table of `rows` rows with one value each, of which one is large.
    fn bench(rows: u32) -> Tree {
        use crate::model::{
            limits::Limits,
            schema::{ActiveNotify, Facts, Schema, Table},
        };
        let mut schema = Schema::default();
        let table = Table { writable: true, rows, max_rows: rows, index: 0 };
        schema.add_object("Device.X.{i}.", Some(table)).unwrap();
        let backing = Backing::Stored { slot: 0, default: "x".into(), limits: Box::<Limits>::default() };
        let facts =
            Facts { param_type: ParamType::String, writable: true, backing, notify: ActiveNotify::Normal };
        schema.add_parameter("Device.X.{i}.A", facts).unwrap();
        let mut tree = Tree::new(std::sync::Arc::new(schema));
        tree.store_at("Device.X.600.A", &"y".repeat(PAGE_BYTES));
        tree
    }

    #[test]
    fn pages_cover_everything_once_in_any_order() {
        let (tree, layers, device, settings) =
            (bench(2500), Layers::default(), DeviceId::default(), DeviceSettings::default());
        let sources = Sources {
            tree: &tree,
            layers: &layers,
            device: &device,
            settings: &settings,
            parameter_key: "",
            attributes: &AttributeTable::default(),
        };
        let read = Read::Values(vec!["Device.X.".to_owned()]);
        let mut capture = Capture::prepare(sources, &read).unwrap();
        assert_eq!(capture.count(), 2500);
        let lengths = [3, 0, 1, 2, 1, 9].map(|page| {
            let Page::Values(values) = capture.page(sources, page) else { panic!() };
            (page, values.len(), values.iter().next().map(|(name, ..)| name.to_owned()))
        });
        let first = |n: u32| Some(format!("Device.X.{n}.A"));
        assert_eq!(
            lengths,
            [
                (3, 0, None),
                (0, 600, first(1)),
                (1, 1000, first(601)),
                (2, 900, first(1601)),
                (1, 1000, first(601)),
                (9, 0, None)
            ]
        );
        let mut names =
            Capture::prepare(sources, &Read::Names { path: String::new(), next_level: false }).unwrap();
        let sum: usize = (0..)
            .map(|n| names.page(sources, n))
            .map_while(|page| match page {
                Page::Names(names) if !names.is_empty() => Some(names.len()),
                _ => None,
            })
            .sum();
        assert_eq!(u32::try_from(sum).unwrap(), names.count());
    }

    #[test]
    fn a_read_of_a_million_entries_is_the_largest() {
        let (tree, layers, device, settings) =
            (bench(2500), Layers::default(), DeviceId::default(), DeviceSettings::default());
        let sources = Sources {
            tree: &tree,
            layers: &layers,
            device: &device,
            settings: &settings,
            parameter_key: "",
            attributes: &AttributeTable::default(),
        };
        let read = |times| Read::Values(vec!["Device.X.".to_owned(); times]);
        assert!(Capture::prepare(sources, &read(400)).is_ok());
        let fault = Capture::prepare(sources, &read(401)).unwrap_err();
        assert_eq!(fault.code, FaultCode::ResourcesExceeded);
    }

    #[test]
    fn a_live_value_stays_as_it_was_when_the_read_was_prepared() {
        let (tree, layers, device, settings) =
            (Tree::default(), Layers::default(), DeviceId::default(), DeviceSettings::default());
        let sources = Sources {
            tree: &tree,
            layers: &layers,
            device: &device,
            settings: &settings,
            parameter_key: "",
            attributes: &AttributeTable::default(),
        };
        let read = Read::Values(vec!["Device.DeviceInfo.MemoryStatus.Free".to_owned(); 100]);
        let mut capture = Capture::prepare(sources, &read).unwrap();
        assert_eq!(capture.live.len(), 1, "read once");
        capture.live.insert(Live::MemoryFree, "7".to_owned());
        let Page::Values(values) = capture.page(sources, 0) else { panic!() };
        assert!(values.iter().all(|(_, value, _)| value == "7"));
    }

    #[test]
    fn one_unknown_name_or_a_wrong_wildcard_spoils_the_whole_read() {
        for bad in ["Device.Nonsense", "Device.*.UpTime", "Device.DeviceInfo.*"] {
            let names = ["Device.DeviceInfo.UpTime", bad].map(str::to_owned).to_vec();
            assert_eq!(fault(&Read::Values(names)), FaultCode::InvalidParameterName, "{bad}");
        }
    }

    #[test]
    fn the_tree_names_the_device_as_the_inform_does() {
        let device = DeviceId {
            manufacturer: "M".to_owned(),
            oui: "00AABB".to_owned(),
            product_class: "P".to_owned(),
            serial_number: "S".to_owned(),
        };
        let (layers, settings) = (Layers::default(), DeviceSettings::default());
        let tree = Tree::default();
        let sources = Sources {
            tree: &tree,
            layers: &layers,
            device: &device,
            settings: &settings,
            parameter_key: "",
            attributes: &AttributeTable::default(),
        };
        let value = |name: &str| sources.value(&format!("Device.DeviceInfo.{name}")).unwrap().to_string();
        let names = ["Manufacturer", "ManufacturerOUI", "ProductClass", "SerialNumber"];
        assert_eq!(names.map(value), ["M", "00AABB", "P", "S"]);
    }
}
