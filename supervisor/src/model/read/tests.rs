//! What a read holds, in which order, and that its pages are the same however they are asked for.

use super::*;
use crate::config::table::{self, TABLE};

/// A tree, and nothing in any other source.
#[derive(Default)]
struct Over {
    tree: Tree,
    layers: Layers,
    device: DeviceId,
    settings: DeviceSettings,
    attributes: AttributeTable,
}

impl Over {
    fn sources(&self) -> Sources<'_> {
        let Self { tree, layers, device, settings, attributes } = self;
        Sources { tree, layers, device, settings, parameter_key: "", attributes }
    }
}

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
    let names = |values: Vec<(String, String)>| values.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
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
        assert_eq!(fault(&Read::Values(vec![name.to_owned()])), FaultCode::InvalidParameterName, "{name}");
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
        names("Device.DeviceInfo.", true).contains(&("Device.DeviceInfo.MemoryStatus.".to_owned(), false))
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
    let over = Over { tree: bench(2500), ..Over::default() };
    let sources = over.sources();
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
    let over = Over { tree: bench(2500), ..Over::default() };
    let sources = over.sources();
    let read = |times| Read::Values(vec!["Device.X.".to_owned(); times]);
    assert!(Capture::prepare(sources, &read(400)).is_ok());
    let fault = Capture::prepare(sources, &read(401)).unwrap_err();
    assert_eq!(fault.code, FaultCode::ResourcesExceeded);
}

#[test]
fn a_live_value_stays_as_it_was_when_the_read_was_prepared() {
    let over = Over { tree: Tree::default(), ..Over::default() };
    let sources = over.sources();
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
    let over = Over { device, ..Over::default() };
    let sources = over.sources();
    let value = |name: &str| sources.value(&format!("Device.DeviceInfo.{name}")).unwrap().to_string();
    let names = ["Manufacturer", "ManufacturerOUI", "ProductClass", "SerialNumber"];
    assert_eq!(names.map(value), ["M", "00AABB", "P", "S"]);
}
