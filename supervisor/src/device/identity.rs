//! Who the device is to the ACS: from the settings, else what was frozen, else what the hardware says.

use std::{collections::BTreeMap, fs, path::Path};

use ipc_proto::worker::DeviceId;

use crate::{settings::DeviceSettings, store::Fact};

/// What firmware vendors leave in DMI fields that they did not fill in.
const PLACEHOLDERS: &[&str] = &[
    "",
    "0",
    "none",
    "not specified",
    "to be filled by o.e.m.",
    "default string",
    "system serial number",
    "system product name",
    "system manufacturer",
    "0123456789",
];

/// Settles the identity. OUI and serial number are empty when nothing usable is found.
pub fn identity(settings: &DeviceSettings, frozen: &BTreeMap<Fact, String>) -> DeviceId {
    identity_at(Path::new("/sys"), settings, frozen)
}

fn identity_at(sys: &Path, settings: &DeviceSettings, frozen: &BTreeMap<Fact, String>) -> DeviceId {
    let mac = first_physical_mac(sys);
    let dmi = |field: &str| {
        let text = fs::read_to_string(sys.join("class/dmi/id").join(field)).unwrap_or_default();
        let text = text.trim();
        let filled_in = !PLACEHOLDERS.contains(&text.to_ascii_lowercase().as_str());
        filled_in.then(|| text.chars().take(64).collect::<String>())
    };
    let settle = |set: &str, fact, found: &dyn Fn() -> Option<String>| {
        if !set.is_empty() {
            return set.to_owned();
        }
        let frozen = frozen.get(&fact).filter(|text| !text.is_empty()).cloned();
        frozen.or_else(found).unwrap_or_default()
    };
    let oui_of_mac = || mac.as_ref().and_then(|mac| mac.get(..6)).map(str::to_owned);
    DeviceId {
        manufacturer: settle(&settings.manufacturer, Fact::Manufacturer, &|| dmi("sys_vendor")),
        oui: settle(&settings.oui, Fact::Oui, &oui_of_mac),
        product_class: settle(&settings.product_class, Fact::ProductClass, &|| dmi("product_name")),
        serial_number: settle(&settings.serial_number, Fact::SerialNumber, &|| {
            dmi("product_serial").or_else(|| mac.clone())
        }),
    }
}

/// True when an ACS can tell this device from others.
pub fn is_usable(id: &DeviceId) -> bool {
    !id.oui.is_empty() && !id.serial_number.is_empty()
}

/// `OUI-ProductClass-SerialNumber`, or without the class where that is empty; characters other than letters,
/// digits and `_` percent-encoded (TR-069 3.4.4).
pub fn device_name(id: &DeviceId) -> String {
    let parts = [&id.oui, &id.product_class, &id.serial_number];
    let present: Vec<_> =
        parts.into_iter().filter(|part| !part.is_empty()).map(|part| percent(part)).collect();
    present.join("-")
}

fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Twelve upper-case hexadecimal digits of the first network card, by name, that is a piece of hardware.
fn first_physical_mac(sys: &Path) -> Option<String> {
    let mut cards: Vec<_> = fs::read_dir(sys.join("class/net")).ok()?.flatten().map(|e| e.path()).collect();
    cards.sort();
    cards.into_iter().filter(|card| card.join("device").exists()).find_map(|card| {
        let text = fs::read_to_string(card.join("address")).ok()?;
        let mac: String = text.trim().split(':').collect::<String>().to_ascii_uppercase();
        let usable = mac.len() == 12 && mac.bytes().all(|b| b.is_ascii_hexdigit()) && mac != "000000000000";
        usable.then_some(mac)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sys() -> tempfile::TempDir {
        let sys = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = sys.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("class/net/aa-virtual/address", "02:00:00:00:00:01\n");
        file("class/net/eth0/address", "00:aa:bb:cc:dd:ee\n");
        file("class/net/eth0/device/uevent", "");
        file("class/dmi/id/sys_vendor", "Example Ltd\n");
        file("class/dmi/id/product_serial", "To Be Filled By O.E.M.\n");
        sys
    }

    #[test]
    fn hardware_is_asked_for_what_the_settings_leave_open() {
        let id = identity_at(sys().path(), &DeviceSettings::default(), &BTreeMap::new());
        assert_eq!((id.manufacturer.as_str(), id.oui.as_str()), ("Example Ltd", "00AABB"));
        assert_eq!((id.serial_number.as_str(), id.product_class.as_str()), ("00AABBCCDDEE", ""));
    }

    #[test]
    fn what_was_frozen_outlives_the_hardware_and_the_settings_outrank_it() {
        let frozen =
            BTreeMap::from([(Fact::SerialNumber, "OLD".to_owned()), (Fact::Oui, "0000AA".to_owned())]);
        let settings = DeviceSettings { oui: "112233".to_owned(), ..Default::default() };
        let id = identity_at(sys().path(), &settings, &frozen);
        assert_eq!((id.oui.as_str(), id.serial_number.as_str()), ("112233", "OLD"));
    }

    #[test]
    fn nothing_usable_is_said_so() {
        let empty = tempfile::tempdir().unwrap();
        assert!(!is_usable(&identity_at(empty.path(), &DeviceSettings::default(), &BTreeMap::new())));
    }

    #[test]
    fn the_device_name_is_percent_encoded() {
        let id = DeviceId {
            oui: "00AABB".to_owned(),
            product_class: "Gate way-2".to_owned(),
            serial_number: "S/1".to_owned(),
            ..Default::default()
        };
        assert_eq!(device_name(&id), "00AABB-Gate%20way%2D2-S%2F1");
    }
}
