//! Reading: names resolved and values captured before anything is answered (DECISIONS on prepared reads).

use std::ops::Range;

use ipc_proto::{
    Fault, FaultCode, ParamPath, Value,
    worker::{DeviceId, Page, ParameterInfo, ParameterValue, Read},
};

use super::schema::{Backing, Info, Node, Parameter, Schema};
use crate::{config::layers::Layers, settings::DeviceSettings};

/// Entries of a page at the most.
const PAGE_ENTRIES: usize = 500;
/// Bytes of names and values after which a page is full.
const PAGE_BYTES: usize = 256 * 1024;
/// Bytes of names and values that a capture may hold in all.
const CAPTURE_BYTES: usize = 64 * 1024 * 1024;

/// Where values come from; borrowed from the hub's state.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Configuration.
    pub layers: &'a Layers,
    /// Identity.
    pub device: &'a DeviceId,
    /// Versions.
    pub settings: &'a DeviceSettings,
    /// ManagementServer.ParameterKey.
    pub parameter_key: &'a str,
}

impl Sources<'_> {
    /// The present value; secrets read as empty (GPV-06).
    pub fn value(&self, parameter: &Parameter) -> Value {
        let text = match parameter.backing {
            Backing::Live(live) => return live.read(),
            Backing::Config(row) if row.secret => "",
            Backing::Config(row) => return row.value(self.layers.in_force(row).text),
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
        Value::String(text.to_owned())
    }
}

/// A prepared read.
#[derive(Debug)]
pub struct Capture {
    entries: Entries,
    pages: Vec<Range<usize>>,
}

#[derive(Debug)]
enum Entries {
    Values(Vec<ParameterValue>),
    Names(Vec<ParameterInfo>),
}

impl Capture {
    /// Resolves and captures. Every fault that there can be comes from here.
    pub fn prepare(schema: &Schema, sources: Sources<'_>, read: &Read) -> Result<Self, Fault> {
        match read {
            Read::Values(names) => {
                let mut values = Vec::new();
                for name in names {
                    let path = existing(schema, name)?;
                    for (name, node) in schema.below(&path) {
                        if let Node::Parameter(parameter) = node {
                            values
                                .push(ParameterValue { name: name.clone(), value: sources.value(parameter) });
                        }
                    }
                }
                let pages = cut(&values, |v| v.name.as_str().len() + size(&v.value))?;
                Ok(Self { entries: Entries::Values(values), pages })
            }
            Read::Names { path, next_level } => {
                let names = parameter_names(schema, &existing(schema, path)?, *next_level)?;
                let pages = cut(&names, |n| n.name.as_str().len())?;
                Ok(Self { entries: Entries::Names(names), pages })
            }
        }
    }

    /// How many entries all pages have together.
    pub fn count(&self) -> u32 {
        let count = match &self.entries {
            Entries::Values(values) => values.len(),
            Entries::Names(names) => names.len(),
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Page `page`, from 0; empty past the last.
    pub fn page(&self, page: u32) -> Page {
        let range = usize::try_from(page).ok().and_then(|n| self.pages.get(n)).cloned().unwrap_or(0..0);
        match &self.entries {
            Entries::Values(values) => Page::Values(values.get(range).unwrap_or_default().to_vec()),
            Entries::Names(names) => Page::Names(names.get(range).unwrap_or_default().to_vec()),
        }
    }
}

/// GetParameterNames (TR-069 A.3.2.3).
fn parameter_names(schema: &Schema, path: &ParamPath, next_level: bool) -> Result<Vec<ParameterInfo>, Fault> {
    if next_level && !path.is_partial() {
        let detail = "NextLevel is only possible for an object, whose name ends with a dot";
        return Err(Fault::new(FaultCode::InvalidArguments, detail));
    }
    let own_length = path.as_str().len();
    let is_child = |name: &ParamPath| {
        let rest = name.as_str().get(own_length..).unwrap_or_default();
        let rest = rest.strip_suffix('.').unwrap_or(rest);
        !rest.is_empty() && !rest.contains('.')
    };
    let info = |(name, node): (&ParamPath, &Node)| ParameterInfo {
        name: name.clone(),
        writable: matches!(node, Node::Parameter(Parameter { writable: true, .. })),
    };
    Ok(schema.below(path).filter(|(name, _)| !next_level || is_child(name)).map(info).collect())
}

fn existing(schema: &Schema, name: &str) -> Result<ParamPath, Fault> {
    let path = ParamPath::parse(name).ok().filter(|path| schema.has(path));
    path.ok_or_else(|| {
        Fault::new(FaultCode::InvalidParameterName, &name.chars().take(200).collect::<String>())
    })
}

/// Where pages begin and end, the same however often they are asked for.
fn cut<T>(entries: &[T], size: impl Fn(&T) -> usize) -> Result<Vec<Range<usize>>, Fault> {
    let (mut pages, mut from, mut bytes, mut total) = (Vec::new(), 0, 0usize, 0usize);
    for (n, entry) in entries.iter().enumerate() {
        let own = size(entry);
        total += own;
        if n > from && (n - from >= PAGE_ENTRIES || bytes + own > PAGE_BYTES) {
            pages.push(from..n);
            (from, bytes) = (n, 0);
        }
        bytes += own;
    }
    if total > CAPTURE_BYTES {
        let detail = "the answer would be larger than 64 MiB: ask for a part of the tree";
        return Err(Fault::new(FaultCode::ResourcesExceeded, detail));
    }
    pages.push(from..entries.len());
    Ok(pages)
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Base64(bytes) | Value::HexBinary(bytes) => bytes.len() * 2,
        Value::DateTime(at) => at.as_str().len(),
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::{self, TABLE};

    fn prepare(read: &Read) -> Result<Capture, Fault> {
        let mut layers = Layers::default();
        layers.factory.extend(TABLE.iter().map(|row| (row.name, String::new())));
        layers.factory.insert("cwmp.acs_password", "canary".to_owned());
        layers.factory.insert(table::name::ACS_URL, "http://acs/".to_owned());
        let sources = Sources {
            layers: &layers,
            device: &DeviceId { serial_number: "S1".to_owned(), ..Default::default() },
            settings: &DeviceSettings::default(),
            parameter_key: "key",
        };
        Capture::prepare(&Schema::new(), sources, read)
    }

    fn values(names: &[&str]) -> Vec<(String, String)> {
        let read = Read::Values(names.iter().map(|n| (*n).to_owned()).collect());
        let Page::Values(values) = prepare(&read).unwrap().page(0) else { panic!("names") };
        values.into_iter().map(|v| (v.name.to_string(), v.value.to_string())).collect()
    }

    fn names(path: &str, next_level: bool) -> Vec<(String, bool)> {
        let read = Read::Names { path: path.to_owned(), next_level };
        let Page::Names(names) = prepare(&read).unwrap().page(0) else { panic!("values") };
        names.into_iter().map(|n| (n.name.to_string(), n.writable)).collect()
    }

    fn fault(read: &Read) -> FaultCode {
        prepare(read).unwrap_err().code
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
        let expected = ["Device.DeviceInfo.", "Device.ManagementServer.", "Device.RootDataModelVersion"];
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

    #[test]
    fn pages_cover_everything_once_and_may_be_asked_again() {
        let sizes: Vec<usize> = (0..1700).map(|n| if n == 600 { 300_000 } else { 10 }).collect();
        let pages = cut(&sizes, |s| *s).unwrap();
        assert_eq!(pages, [0..500, 500..600, 600..601, 601..1101, 1101..1601, 1601..1700]);
        assert_eq!(cut(&[0usize; 0], |s| *s).unwrap(), vec![Range { start: 0, end: 0 }]);
        assert!(cut(&[CAPTURE_BYTES, 1], |s| *s).is_err());
    }

    #[test]
    fn one_unknown_name_or_a_wildcard_spoils_the_whole_read() {
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
        let sources = Sources { layers: &layers, device: &device, settings: &settings, parameter_key: "" };
        let schema = Schema::new();
        let value = |name: &str| {
            let path = ParamPath::parse(&format!("Device.DeviceInfo.{name}")).unwrap();
            sources.value(schema.parameter(&path).unwrap()).to_string()
        };
        let names = ["Manufacturer", "ManufacturerOUI", "ProductClass", "SerialNumber"];
        assert_eq!(names.map(value), ["M", "00AABB", "P", "S"]);
    }
}
