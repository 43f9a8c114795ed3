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
mod tests;
