//! Which boot this is: an id that changes with every reboot.

use std::{fs, io};

use crate::settings::BootIdSource;

/// Reads the id of the present boot, without white space around it.
pub fn boot_id(source: &BootIdSource) -> io::Result<String> {
    let path = match source {
        BootIdSource::Kernel => "/proc/sys/kernel/random/boot_id".as_ref(),
        BootIdSource::File(path) => path.as_path(),
    };
    let text = fs::read_to_string(path).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot read the boot id {}: {error}", path.display()))
    })?;
    Ok(text.trim().to_owned())
}
